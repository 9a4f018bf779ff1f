"""A task's random controls: every draw's change on the items it shares with the target, and the comparison per cell.

Legend: `T` targets, `G` languages, `R` draws.

Draws may be evaluated on a sample of the items; a cell's target and all its draws are then compared on the items that
all of them have, so that the noise of items is the same in both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nharness.analysis.control_test import ControlTest, control_test
from nharness.analysis.effects import Effects, Place
from nharness.analysis.measurements import Key, Measurement, Paired, pair
from nharness.analysis.rounding import known, rounded
from nharness.analysis.significance import benjamini_hochberg, control_deviations
from nharness.record.cells import CellControl, Target

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ControlEffects:
    """Controls of one task by (target, language): the target's own change, its draws' by number, and the items used.

    A draw whose value is None failed, or shares no item with the target.
    """

    effects: Effects
    targets: tuple[str, ...]
    own: Mapping[Place, float]
    draws: Mapping[Place, Mapping[int, float | None]]
    items: Mapping[Place, int]

    @property
    def most(self) -> int:
        """One more than the largest number of a draw; 0 without draws."""
        return max((number + 1 for drawn in self.draws.values() for number in drawn), default=0)

    @cached_property
    def arrays(self) -> tuple[Floats, Floats]:
        """Effects [T, G] and draws [T, R, G], NaN where there is none."""
        languages = self.effects.task.languages
        own = np.full((len(self.targets), len(languages)), np.nan)
        drawn = np.full((len(self.targets), self.most, len(languages)), np.nan)
        for row, target in enumerate(self.targets):
            for column, language in enumerate(languages):
                own[row, column] = self.own.get((target, language), np.nan)
                for number, value in self.draws.get((target, language), {}).items():
                    drawn[row, number, column] = np.nan if value is None else value
        return own, drawn

    @cached_property
    def test(self) -> ControlTest:
        """The prediction test of every cell [T, G]."""
        return control_test(*self.arrays)

    @cached_property
    def q(self) -> Floats:
        """Its p after Benjamini-Hochberg over the whole matrix [T, G], no less than the draws can tell."""
        return np.maximum(benjamini_hochberg(self.test.p), self.test.resolution)

    def part(self, place: Place) -> CellControl | None:
        """Return the record's comparison of one cell, None when no draw of it gave a number."""
        values = [value for value in self.draws.get(place, {}).values() if value is not None]
        if not values or place not in self.own:
            return None
        digits, own = self.effects.settings.precision, self.own[place]
        at = self.targets.index(place[0]), self.effects.task.languages.index(place[1])
        sign = self.effects.sign
        return CellControl(
            draws=len(values),
            items=self.items[place],
            change=known(own, digits),
            mean=known(float(np.mean(values)), digits),
            sd=rounded(float(np.std(values, ddof=1)), digits) if len(values) > 1 else None,
            effect=rounded(control_deviations(own, values), digits),
            worse=sum(sign * value >= sign * own for value in values),
            p=rounded(float(self.test.told[at]), digits),
            q=rounded(float(self.q[at]), digits),
        )


def control_effects_of(
    effects: Effects, targets: Sequence[Target], table: Mapping[Key, Measurement], tried: Sequence[Key]
) -> ControlEffects:
    """Return the controls of one task. `tried`: keys of all control cells, failed ones among them."""
    task = effects.task
    numbers: dict[Place, list[int]] = {}
    for name, target, control, language in tried:
        if name == task.name and target is not None and control is not None:
            numbers.setdefault((target, language), []).append(control)
    own: dict[Place, float] = {}
    draws: dict[Place, dict[int, float | None]] = {}
    items: dict[Place, int] = {}
    for place in ((target.name, language) for target in targets for language in task.languages):
        if place not in numbers:
            continue
        found = _cell(effects, place, sorted(numbers[place]), table)
        draws[place] = found[1]
        if found[0] is not None:
            own[place], items[place] = found[0].change, len(found[0].ids)
    return ControlEffects(effects, tuple(target.name for target in targets), own, draws, items)


def _cell(
    effects: Effects, place: Place, numbers: Sequence[int], table: Mapping[Key, Measurement]
) -> tuple[Paired | None, dict[int, float | None]]:
    """Return the target and its draws' changes on the items common to all of them."""
    nothing: dict[int, float | None] = dict.fromkeys(numbers)
    task, (target, language) = effects.task, place
    cell, baseline = effects.cells.get(place), table.get((task.name, None, None, language))
    if cell is None or baseline is None:
        return None, nothing
    paired: dict[int, Paired] = {}
    for number in numbers:
        edited = table.get((task.name, target, number, language))
        found = pair(baseline, edited, task.metric) if edited is not None else None
        if found is not None:
            paired[number] = found
    common = frozenset(cell.ids).intersection(*(found.ids for found in paired.values()))
    if not paired or not common:
        return None, nothing
    return cell.only(common), nothing | {number: found.only(common).change for number, found in paired.items()}
