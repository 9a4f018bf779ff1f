"""Holding a record against the same measurement made again: every item, within the record's own noise floor.

The noise floor of a language is one drawing of a scatter, so that a task's floor f is the root mean square over its
languages: that of the record or that of the measurement made again, the smaller, since nothing but the second proves
the first. A cell's value is a mean over n items, of which one may move by sqrt(n) times as much. Rounding moves models
with an edit by up to four times as much as the intact one, and items of a cell are as unequal as documents are: of
records of babel made again by an engine that cuts other batches (610 cells each, of 25 or 50 items), one cell's mean
moved by 7 f, 99 % by less than 5 f, and one item by 26 sqrt(n) f, 99 % of the cells' farthest by less than 14. So 10 f
are allowed of a mean (0.02 % of babel's values) and 50 sqrt(n) f of an item. A right-or-wrong answer may turn where f
is above 0, as long as the cell's mean stays within f. Without a floor items are equal.

The items of ladders are held to the same where both have the same neurons off. Which neuron is a long list's last may
hang on rounding, and so may which rungs are climbed: a rung of other neurons, or that only one of the two has, is no
difference as long as the headline stands. It does where its value, both ends of its interval and every language's kept
share move by at most a tenth of their intervals' widths. Repeats' lists are in no file; their rungs are held likewise.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nharness.analysis.ladder_items import is_of_a_ladder
from nharness.analysis.measurements import Key, Measurement, by_key, columns
from nharness.errors import FileFormatError
from nharness.information import BITS_PER_BYTE
from nharness.neurons import Detection, load
from nharness.record.headline import Headline
from nharness.record.loading import parse
from nharness.record.model import Record
from nharness.record.reading import read_plain
from nharness.record.reproduction import REPRODUCTION_NAME, ItemDifference, Reproduction
from nharness.record.store import find, inside
from nharness.targets import rung_of
from nharness_leaderboard.deep.items import measured
from nharness_leaderboard.deep.ladder import rungs_measured

MAX_BYTES = 1_000_000
OF_ITEM, OF_CELL, OF_HEADLINE = 50.0, 10.0, 0.1
ROUNDING = 1e-9
SHOWN = 20
MOST_REASONS = 20


def reproduction_of(record: Record, folder: Path, again: Record, made: Path) -> Reproduction:
    """Return what came of making a record again; folder and made hold the files of the two.

    Raises `FileFormatError` where one of them has no items file.
    """
    first, second = (_measured(each, where) for each, where in ((record, folder), (again, made)))
    shared = sorted(first.keys() & second.keys(), key=str)
    floors = {task.name: min(_floor(each, task.name) for each in (record, again)) for task in record.tasks}
    compared = (_cell(record, first[key], second[key], floors.get(key[0], 0.0)) for key in shared)
    cells = [cell for cell in compared if cell is not None]
    other = _rungs_of_others(record, folder, again, made)
    apart = {cell.target for cell in cells if cell.moved and cell.target is not None and other(cell.target)}
    held = [cell for cell in cells if cell.target not in apart]
    keys = {key for key in first.keys() | second.keys() if not is_of_a_ladder(key) or (key in first and key in second)}
    absent = sum(len(_ids(first.get(key)) ^ _ids(second.get(key))) for key in keys)
    items, beyond = sum(cell.items for cell in cells), sum(cell.beyond for cell in held)
    reasons = [
        *_reasons(record, again),
        *_other_neurons(record, folder, again, made),
        *_headline_reasons(record.headline, again.headline),
    ]
    if beyond:
        reasons.append(f"{beyond} of {items} items differ by more than the noise floor allows")
    far = [cell for cell in held if cell.mean > cell.mean_allowed]
    if far:
        worst = max(far, key=lambda cell: cell.mean / (cell.mean_allowed or ROUNDING))
        reasons.append(
            f"the means of {len(far)} of {len(held)} cells move by more than the noise floor allows, {worst.name} by "
            f"{worst.mean:.3g} where {worst.mean_allowed:.3g} is allowed"
        )
    if absent:
        reasons.append(f"{absent} items are in one of the two alone")
    moved, allowed = _moved(record.headline, again.headline)
    mine, theirs = record.environment.document(), again.environment.document()
    largest = (each for cell in held for each in cell.differences)
    return Reproduction(
        record=record.identity.id,
        verdict="differs" if reasons else "reproduced",
        created=dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        reasons=tuple(reasons[:MOST_REASONS]),
        items=items,
        identical=items - sum(cell.moved for cell in cells),
        beyond=beyond,
        absent=absent,
        rungs_apart=len(apart),
        headline_difference=moved,
        headline_allowed=allowed,
        largest=tuple(sorted(largest, key=lambda each: -each.difference)[:SHOWN]),
        source=again.identity.source,
        environment=again.environment,
        environment_changes=tuple(name for name in mine if mine[name] != theirs[name]),
    )


def read_reproduction(folder: Path) -> Reproduction | None:
    """Return the reproduction beside a record, None where there is none; raises `FileFormatError` for a wrong one."""
    path = folder / REPRODUCTION_NAME
    if not path.exists() and not path.is_symlink():
        return None
    document, problems = parse(read_plain(path, max_bytes=MAX_BYTES))
    try:
        found = None if problems else Reproduction.model_validate(document)
    except ValueError as error:
        raise FileFormatError(f"{path}: not a valid reproduction ({str(error).splitlines()[0]})") from error
    if found is None:
        raise FileFormatError(f"{path}: {problems[0].message}")
    return found


def earned(record: Record, reproduction: Reproduction | None) -> bool:
    """Tell whether a reproduction is of this record and found every item within its noise floor."""
    if reproduction is None or reproduction.record != record.identity.id:
        return False
    return reproduction.verdict == "reproduced" and not (reproduction.beyond or reproduction.absent)


def _reasons(record: Record, again: Record) -> Iterator[str]:
    """Yield how model and text differ, before any item is looked at."""
    if record.model.fingerprint != again.model.fingerprint:
        yield "the model has another fingerprint"
    if record.model.tokenizer_fingerprint != again.model.tokenizer_fingerprint:
        yield "the tokenizer has another fingerprint"
    if (record.headline is None) != (again.headline is None):
        yield "only one of the two climbed ladders"
    if record.corpus.fingerprint != again.corpus.fingerprint:
        yield "the corpus has another fingerprint"


def _measured(record: Record, folder: Path) -> Mapping[Key, Measurement]:
    """Return every cell's items, those of ladders' rungs among them."""
    cells = list(measured(record, folder))
    return by_key([*cells, *rungs_measured(record, folder, max((len(each.ids) for each in cells), default=0))])


def _moved(first: Headline | None, second: Headline | None) -> tuple[float | None, float | None]:
    """Return by how much a headline moved, and by how much it may; nothing where one of the two has none."""
    one, other = (None if each is None else each.estimate for each in (first, second))
    if one is None or other is None:
        return None, None
    return abs(one.value - other.value), _of_widths(one.interval, other.interval)


def _headline_reasons(first: Headline | None, second: Headline | None) -> Iterator[str]:
    """Yield what of a headline moved by more than a tenth of its interval's width."""
    moved, allowed = _moved(first, second)
    if first is None or second is None or moved is None or allowed is None:
        return
    if moved > allowed:
        yield f"the headline moves by {moved:.3g} where {allowed:.3g} is allowed"
    one, other = (each.estimate.interval if each.estimate is not None else None for each in (first, second))
    if (one is None) != (other is None):
        yield "only one of the two headlines has an interval"
    for end, before, after in zip(("lower", "upper"), one or (), other or (), strict=True):
        if abs(before - after) > allowed:
            yield f"the {end} end of its interval moves by {abs(before - after):.3g} where {allowed:.3g} is allowed"
    for tag, language in first.languages.items():
        made = second.languages.get(tag)
        kept, again = language.kept, None if made is None else made.kept
        may = max(allowed, _of_widths(language.interval, None if made is None else made.interval))
        if (kept is None) != (again is None) or (kept is not None and again is not None and abs(kept - again) > may):
            yield f"the kept share of {tag} is {_shown(again)} instead of {_shown(kept)}; {may:.3g} is allowed"


def _of_widths(*intervals: tuple[float, float] | None) -> float:
    """Return what may move: a share of the narrowest interval's width."""
    return OF_HEADLINE * min(0.0 if each is None else each[1] - each[0] for each in intervals) + ROUNDING


def _floor(record: Record, task: str) -> float:
    """Return a task's noise floor in a record, the root mean square over languages; 0 where it has none."""
    known = [each.noise_floor for each in record.baseline if each.task == task and each.noise_floor is not None]
    return math.sqrt(float(np.mean(np.square(known)))) if known else 0.0


def _shown(value: float | None) -> str:
    return "absent" if value is None else f"{value:.4g}"


def _other_neurons(record: Record, folder: Path, again: Record, made: Path) -> Iterator[str]:
    """Yield for which targets other neurons were found, and of languages how many of their neurons are not there."""
    digests = {target.name: target.digest for target in again.targets}
    names = [target.name for target in record.targets if digests.get(target.name) != target.digest]
    if not names:
        return
    first, second = (_found(each, where) for each, where in ((record, folder), (again, made)))
    told = []
    for name in names[:MOST_REASONS]:
        one, other = (
            None if held is None or name not in held.languages else held.flat(name) for held in (first, second)
        )
        count = "" if one is None or other is None else f" ({np.setdiff1d(one, other).size} of {one.size})"
        told.append(f"{name}{count}")
    yield f"other neurons were found for {', '.join(told)}"


def _rungs_of_others(record: Record, folder: Path, again: Record, made: Path) -> Callable[[str], bool]:
    """Return what tells whether a target is a rung whose neurons may differ: they do, or no file tells them."""
    first, second = (_lists(each, where) for each, where in ((record, folder), (again, made)))

    def other(target: str) -> bool:
        rung = rung_of(target)
        if rung is None:
            return False
        if rung.repeat is not None or rung.language not in first or rung.language not in second:
            return True
        one, two = (set(lists[rung.language][: rung.units].tolist()) for lists in (first, second))
        return one != two

    return other


def _lists(record: Record, folder: Path) -> Mapping[str, NDArray[np.int64]]:
    """Return every language's neurons, the best first."""
    found = _found(record, folder)
    return {} if found is None else dict(zip(found.languages, found.ranked(), strict=True))


def _found(record: Record, folder: Path) -> Detection | None:
    """Return what is in a record's neurons file; None where it has none."""
    entry = find(record.files, "neurons")
    return None if entry is None else load(inside(folder, entry.name))


def _ids(measurement: Measurement | None) -> frozenset[str]:
    return frozenset(measurement.ids if measurement else ())


@dataclass(frozen=True)
class _Cell:
    """One cell held against its like: its items, those that moved, and how far its mean did."""

    name: str
    target: str | None
    items: int
    differences: Sequence[ItemDifference]
    mean: float
    mean_allowed: float

    @property
    def moved(self) -> int:
        return len(self.differences)

    @property
    def beyond(self) -> int:
        return sum(each.difference > each.allowed for each in self.differences)


def _cell(record: Record, first: Measurement, second: Measurement, floor: float) -> _Cell | None:
    """Return how the items of a cell differ, with what a noise floor allows of each; None where the two share none."""
    task = record.task(first.task)
    places = {name: place for place, name in enumerate(second.ids)}
    shared = [(here, places[name]) for here, name in enumerate(first.ids) if name in places]
    if task is None or not shared:
        return None
    here, there = (np.array(side) for side in zip(*shared, strict=True))
    one, other = _per_item(first, task.metric)[here], _per_item(second, task.metric)[there]
    apart = np.abs(one - other)
    mean = abs(float(np.nanmean(one - other))) if not np.isnan(one - other).all() else 0.0
    if task.metric == BITS_PER_BYTE:
        allowed = OF_ITEM * floor * math.sqrt(len(shared)) + ROUNDING * np.abs(one)
        mean_allowed = OF_CELL * floor + ROUNDING * float(np.nanmean(np.abs(one)))
    else:
        allowed, mean_allowed = np.full(len(shared), 1.0 if floor > 0 else 0.0), floor
    moved = np.flatnonzero(~(apart <= 0) & ~(np.isnan(one) & np.isnan(other)))
    differences = [
        ItemDifference(
            task=first.task,
            target=first.target,
            control=first.control,
            language=first.language,
            id=first.ids[here[index]],
            difference=float(np.nan_to_num(apart[index], nan=1.0)),
            allowed=float(allowed[index]),
        )
        for index in moved
    ]
    draw = "" if first.control is None else f", draw {first.control}"
    name = f"{first.task} of {first.target or 'the intact model'}{draw} on {first.language}"
    return _Cell(name, first.target, len(shared), differences, mean, mean_allowed)


def _per_item(measurement: Measurement, metric: str) -> NDArray[np.float64]:
    value, weight = columns(measurement, metric)
    return np.asarray(value / weight)
