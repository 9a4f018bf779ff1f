"""Two sets of measurements on the same items: how much larger one's effects are than the other's.

Both may come from different detectors, interventions, strengths or models, as long as items have the same ids and
weights. For every cell in both, `difference = change in the first - change in the second` is computed item by item on
what both have seen, so that what items have in common falls out; cells and the means over rows are resampled together
(joint.py, as the board does it), and the differences' p are corrected over the matrix.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nharness.analysis.effects import HARM, Aim, Effects, Place, effects_of
from nharness.analysis.joint import SETTINGS, Side, score_differences
from nharness.analysis.measurements import Measurement, Paired, by_key
from nharness.analysis.rounding import interval, known, rounded
from nharness.analysis.selectivity import PARTS, mean_weights, rows_of
from nharness.analysis.significance import benjamini_hochberg
from nharness.errors import UsageError
from nharness.record.cells import Target, Task
from nharness.record.types import Estimate


@dataclass(frozen=True)
class CellDifference:
    """One cell in both: the changes on their common items, first minus second with interval, p and q (two-sided).

    In the task's unit. interval, p and q are None, and `withheld` says why, with fewer than five clusters of items.
    flags: those of the cell in either, as the records have them.
    """

    target: str
    language: str
    first: float
    second: float
    difference: float
    interval: tuple[float, float] | None
    p: float | None
    q: float | None
    items: int
    withheld: str | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class TaskComparison:
    """One task: cells in both, cells in only one of them, and differences of the summary's harms.

    The harms are None without a row that has a cell on and one off the diagonal in both.
    """

    task: str
    cells: tuple[CellDifference, ...]
    only_first: tuple[Place, ...]
    only_second: tuple[Place, ...]
    on_target: Estimate | None
    off_target: Estimate | None
    selectivity: Estimate | None


def compare(
    first: Iterable[Measurement],
    second: Iterable[Measurement],
    *,
    tasks: Sequence[Task],
    targets: tuple[Sequence[Target], Sequence[Target]],
    aim: Aim = HARM,
    flags: Mapping[tuple[str, str, str], tuple[str, ...]] | None = None,
) -> tuple[TaskComparison, ...]:
    """Return one comparison a task; targets are matched by name, and have no neurons where either says 0.

    aim: what the first one's intervention is for. flags: by (task, target, language), what the two records say.

    Raises `UsageError` when the two have no cell in common, or items of one id that differ in weight.
    """
    tables = by_key(first), by_key(second)
    found = []
    for task in tasks:
        sides = [effects_of(task, rows, table, SETTINGS, aim) for rows, table in zip(targets, tables, strict=True)]
        found.append(_compared(sides[0], sides[1], targets[0], flags or {}))
    if not any(task.cells for task in found):
        raise UsageError("the two have no target, task and language with common item ids")
    return tuple(found)


def _compared(
    first: Effects, second: Effects, targets: Sequence[Target], flags: Mapping[tuple[str, str, str], tuple[str, ...]]
) -> TaskComparison:
    pairs: dict[Place, tuple[Paired, Paired]] = {}
    for place in dict.fromkeys([*first.cells, *first.empty]):
        paired = _common(first, second, place)
        if paired is not None:
            pairs[place] = paired
    neither = first.empty & second.empty
    gaps = Effects(first.task, {place: _gap(*both) for place, both in pairs.items()}, neither, SETTINGS, first.aim)
    held = {place[0] for place in pairs} | {place[0] for place in neither}
    weights = mean_weights(rows_of(gaps, [target for target in targets if target.name in held]))
    common = [
        Effects(first.task, {p: both[i] for p, both in pairs.items()}, neither, SETTINGS, first.aim) for i in (0, 1)
    ]
    harms = {name: _difference([Side(side, weights[name]) for side in common]) for name in PARTS if name in weights}
    sides = [set(side.cells) | set(side.empty) for side in (first, second)]
    return TaskComparison(
        first.task.name,
        _differences(gaps, pairs, flags),
        tuple(sorted(sides[0] - sides[1])),
        tuple(sorted(sides[1] - sides[0])),
        *(harms.get(name) for name in PARTS),
    )


def _difference(sides: Sequence[Side]) -> Estimate:
    """Return the first side's score minus the second's; what is left beyond the record's digits is 0."""
    digits = SETTINGS.precision
    size = sum(abs(weight * (s.effects.harm(place) or 0.0)) for s in sides for place, weight in s.weights.items())
    for found in score_differences(sides, [(0, 1)]):
        value, low, high = (
            0.0 if abs(number) < size * 10.0**-digits else float(number)
            for number in (found.estimate[0], found.low[0], found.high[0])
        )
        ends = interval(low, high, digits)
        return Estimate(value=known(value, digits), interval=ends, withheld=found.withheld(0))
    return Estimate(value=0.0, interval=(0.0, 0.0))


def _differences(
    gaps: Effects,
    pairs: Mapping[Place, tuple[Paired, Paired]],
    flags: Mapping[tuple[str, str, str], tuple[str, ...]],
) -> tuple[CellDifference, ...]:
    found, digits = gaps.intervals, SETTINGS.precision
    if found is None:
        return ()
    q = benjamini_hochberg(found.p)
    return tuple(
        CellDifference(
            place[0],
            place[1],
            pairs[place][0].change,
            pairs[place][1].change,
            gap.change,
            interval(found.low[at], found.high[at], digits),
            rounded(float(found.p[at]), digits),
            rounded(float(q[at]), digits),
            len(gap.ids),
            found.withheld(at),
            flags.get((gaps.task.name, *place), ()),
        )
        for at, (place, gap) in enumerate(gaps.cells.items())
    )


def _common(first: Effects, second: Effects, place: Place) -> tuple[Paired, Paired] | None:
    """Return both sides of a cell on their common items; a side without neurons changes nothing on the other's."""
    a, b = first.cells.get(place), second.cells.get(place)
    if a is None and b is not None and place in first.empty:
        a = _unchanged(b)
    if b is None and a is not None and place in second.empty:
        b = _unchanged(a)
    if a is None or b is None:
        return None
    ids = frozenset(a.ids).intersection(b.ids)
    if not ids:
        return None
    a, b = _sorted(a.only(ids)), _sorted(b.only(ids))
    if not np.array_equal(a.weight, b.weight):
        raise UsageError(f"an item of {first.task.name} on {place[1]} differs in its bytes in the second set")
    return a, b


def _gap(first: Paired, second: Paired) -> Paired:
    """Return the cell whose change is the difference of the two changes."""
    return Paired(
        first.ids, first.clusters, second.after - second.before, first.after - first.before, first.weight, None
    )


def _unchanged(cell: Paired) -> Paired:
    return Paired(cell.ids, cell.clusters, cell.before, cell.before, cell.weight, cell.tokens)


def _sorted(cell: Paired) -> Paired:
    order = sorted(range(len(cell.ids)), key=cell.ids.__getitem__)
    return Paired(
        tuple(cell.ids[i] for i in order),
        tuple(cell.clusters[i] for i in order),
        cell.before[order],
        cell.after[order],
        cell.weight[order],
        cell.tokens,
    )
