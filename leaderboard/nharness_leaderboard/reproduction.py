"""Holding a record against the same measurement made again: every item, within the record's own noise floor.

The noise floor f of a task and language is by how much its value moves when nothing but the batches differ. The value
is a mean over n items, so that one item may move by sqrt(n) times as much; four times that is allowed. A right-or-wrong
answer may turn where the floor is above 0, as long as the cell's mean stays within it. Without a floor items are equal.
The items of ladders are held to the same. Which rungs are climbed may hang on a hair: a rung that only one of the two
has is no difference, as long as the headline moves by at most a tenth of its interval's width.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nharness.analysis.ladder_items import is_of_a_ladder
from nharness.analysis.measurements import BITS_PER_BYTE, Key, Measurement, by_key, columns
from nharness.errors import FileFormatError
from nharness.record.loading import parse
from nharness.record.model import Record
from nharness.record.reading import read_plain
from nharness.record.reproduction import REPRODUCTION_NAME, ItemDifference, Reproduction
from nharness_leaderboard.deep.items import measured
from nharness_leaderboard.deep.ladder import rungs_measured

MAX_BYTES = 1_000_000
SLACK = 4.0
HEADLINE_SLACK = 0.1
ROUNDING = 1e-9
SHOWN = 20


def reproduction_of(record: Record, folder: Path, again: Record, made: Path) -> Reproduction:
    """Return what came of making a record again; folder and made hold the files of the two.

    Raises `FileFormatError` where one of them has no items file.
    """
    first, second = (_measured(each, where) for each, where in ((record, folder), (again, made)))
    differences = [each for key in first.keys() & second.keys() for each in _cell(record, first[key], second[key])]
    shared = sum(len(set(first[key].ids) & set(second[key].ids)) for key in first.keys() & second.keys())
    keys = {key for key in first.keys() | second.keys() if not is_of_a_ladder(key) or (key in first and key in second)}
    absent = sum(len(_ids(first.get(key)) ^ _ids(second.get(key))) for key in keys)
    beyond = [each for each in differences if each.difference > each.allowed]
    reasons = list(_reasons(record, again))
    if beyond:
        reasons.append(f"{len(beyond)} of {shared} items differ by more than the noise floor allows")
    if absent:
        reasons.append(f"{absent} items are in one of the two alone")
    moved, allowed = _headline(record, again)
    if moved is not None and allowed is not None and moved > allowed:
        reasons.append(f"the headline moves by {moved:.3g} where {allowed:.3g} is allowed")
    mine, theirs = record.environment.document(), again.environment.document()
    return Reproduction(
        record=record.identity.id,
        verdict="differs" if reasons else "reproduced",
        created=dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        reasons=tuple(reasons),
        items=shared,
        identical=shared - len(differences),
        beyond=len(beyond),
        absent=absent,
        headline_difference=moved,
        headline_allowed=allowed,
        largest=tuple(sorted(differences, key=lambda each: -each.difference)[:SHOWN]),
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
    """Yield how model, text and neurons differ, before any item is looked at."""
    if record.model.fingerprint != again.model.fingerprint:
        yield "the model has another fingerprint"
    if record.model.tokenizer_fingerprint != again.model.tokenizer_fingerprint:
        yield "the tokenizer has another fingerprint"
    if (record.headline is None) != (again.headline is None):
        yield "only one of the two climbed ladders"
    if record.corpus.fingerprint != again.corpus.fingerprint:
        yield "the corpus has another fingerprint"
    found = {target.name: target.digest for target in again.targets}
    other = [target.name for target in record.targets if found.get(target.name) != target.digest]
    if other:
        yield f"other neurons were found for {', '.join(other[:10])}"


def _measured(record: Record, folder: Path) -> Mapping[Key, Measurement]:
    """Return every cell's items, those of ladders' rungs among them."""
    cells = list(measured(record, folder))
    return by_key([*cells, *rungs_measured(record, folder, max((len(each.ids) for each in cells), default=0))])


def _headline(record: Record, again: Record) -> tuple[float | None, float | None]:
    """Return by how much the headline moved, and by how much it may; nothing where the record has none."""
    first, second = (None if each.headline is None else each.headline.estimate for each in (record, again))
    if first is None or second is None:
        return None, None
    low, high = first.interval or (first.value, first.value)
    return abs(first.value - second.value), HEADLINE_SLACK * (high - low) + ROUNDING


def _ids(measurement: Measurement | None) -> frozenset[str]:
    return frozenset(measurement.ids if measurement else ())


def _cell(record: Record, first: Measurement, second: Measurement) -> Iterator[ItemDifference]:
    """Yield the items of one cell that differ, with what is allowed of each."""
    task = record.task(first.task)
    if task is None:
        return
    places = {name: place for place, name in enumerate(second.ids)}
    shared = [(here, places[name]) for here, name in enumerate(first.ids) if name in places]
    if not shared:
        return
    here, there = (np.array(side) for side in zip(*shared, strict=True))
    one, other = _per_item(first, task.metric)[here], _per_item(second, task.metric)[there]
    apart = np.abs(one - other)
    floor = next(
        (b.noise_floor or 0.0 for b in record.baseline if (b.task, b.language) == (first.task, first.language)), 0.0
    )
    if task.metric == BITS_PER_BYTE:
        allowed = SLACK * floor * math.sqrt(len(shared)) + ROUNDING * np.abs(one)
    else:
        stays = abs(float(np.nanmean(one - other))) <= floor
        allowed = np.full(len(shared), 1.0 if floor > 0 and stays else 0.0)
    for index in np.flatnonzero(~(apart <= 0) & ~(np.isnan(one) & np.isnan(other))):
        yield ItemDifference(
            task=first.task,
            target=first.target,
            control=first.control,
            language=first.language,
            id=first.ids[here[index]],
            difference=float(np.nan_to_num(apart[index], nan=1.0)),
            allowed=float(allowed[index]),
        )


def _per_item(measurement: Measurement, metric: str) -> NDArray[np.float64]:
    value, weight = columns(measurement, metric)
    return np.asarray(value / weight)
