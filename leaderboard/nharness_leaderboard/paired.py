"""Differences between any two records: paired on the items they share, by the joint resampling that `compare` uses too.

A record's side of a comparison (`nharness.analysis.joint`) is its matrix of effects, recomputed from the items beside
it, with the cells that its selectivity averages. Sides of one text are resampled together, with the same clusters in
all records and in all languages of a parallel corpus. Where items differ or are not published, the two intervals are
combined as if independent, which gives a wider one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from nharness.analysis.analyse import aim_of
from nharness.analysis.effects import effects_of
from nharness.analysis.joint import SETTINGS, Side, score_differences
from nharness.analysis.measurements import by_key, from_items
from nharness.analysis.selectivity import mean_weights, rows_of
from nharness.errors import FileFormatError, UsageError
from nharness.record.items import read_items
from nharness.record.model import Record
from nharness.record.store import find, inside

_AGREES = 1e-3


@dataclass(frozen=True)
class PairedSide:
    """One record's side on one task; `key` is a digest of its items: records with equal keys can be paired."""

    key: str
    side: Side


@dataclass(frozen=True)
class Difference:
    """A minus B, with its interval; `paired` says whether items were compared one by one."""

    value: float
    interval: tuple[float, float]
    paired: bool

    @property
    def decided(self) -> bool:
        """Whether the interval excludes 0."""
        return self.interval[0] > 0 or self.interval[1] < 0


def sides(record: Record, folder: Path, *, max_bytes: int = 500_000_000) -> dict[str, PairedSide]:
    """Return a record's side of each task whose selectivity follows from its items; empty without an items file.

    A task is left out if a cell has no items, or if they do not give the record's selectivity.
    """
    entry = find(record.files, "items")
    if entry is None or entry.bytes > max_bytes:
        return {}
    try:
        path = inside(folder, entry.name)
        if not path.is_file():
            return {}
        own = (item for item in read_items(path, max_bytes=max_bytes) if item.control is None)
        table = by_key(from_items(own))
        found = {}
        for task in record.tasks:
            effects = effects_of(task, record.targets, table, SETTINGS, aim_of(record))
            weights = mean_weights(rows_of(effects, record.targets)).get("selectivity", {})
            found[task.name] = Side(effects, weights)
    except (FileFormatError, UsageError):
        return {}
    return {name: PairedSide(side.text(), side) for name, side in found.items() if _reproduced(record, name, side)}


def differences(found: Mapping[str, PairedSide]) -> dict[tuple[str, str], Difference]:
    """Return the paired differences of every two records of one text, by their names in the order given.

    A pair is absent if the items differ or are too few for an interval.
    """
    texts: dict[str, list[str]] = {}
    for name, paired in found.items():
        texts.setdefault(paired.key, []).append(name)
    known: dict[tuple[str, str], Difference] = {}
    for names in texts.values():
        known |= _within(names, [found[name].side for name in names])
    return known


def difference(a: PairedSide, b: PairedSide) -> Difference | None:
    """Return the paired difference of two records on one task; None when their items differ or are too few."""
    return differences({"a": a, "b": b}).get(("a", "b"))


def unpaired(a: Record, b: Record, task: str) -> Difference | None:
    """Return the difference from the two records' own intervals, as if their items were independent.

    It is wider than the paired one; None if one has no interval.
    """
    first, second = a.summary_of(task), b.summary_of(task)
    one, two = first.selectivity if first else None, second.selectivity if second else None
    if one is None or two is None or one.interval is None or two.interval is None:
        return None
    value = one.value - two.value
    low = math.hypot(one.value - one.interval[0], two.interval[1] - two.value)
    high = math.hypot(one.interval[1] - one.value, two.value - two.interval[0])
    return Difference(value, (value - low, value + high), paired=False)


def _within(names: Sequence[str], held: Sequence[Side]) -> dict[tuple[str, str], Difference]:
    pairs = list(combinations(range(len(names)), 2))
    found: dict[tuple[str, str], Difference] = {}
    if not pairs:
        return found
    done = 0
    for part in score_differences(held, pairs):
        for at, value in enumerate(part.estimate):
            first, second = pairs[done + at]
            if part.withheld(at) is None:
                ends = float(part.low[at]), float(part.high[at])
                found[names[first], names[second]] = Difference(float(value), ends, paired=True)
        done += len(part.estimate)
    return found


def _reproduced(record: Record, task: str, side: Side) -> bool:
    summary = record.summary_of(task)
    if summary is None or summary.selectivity is None or not side.weights:
        return False
    return abs(side.score - summary.selectivity.value) <= _AGREES * max(abs(side.score), 1e-6)
