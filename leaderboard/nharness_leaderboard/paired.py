"""Paired differences between any two records, from how much each cluster of items moved each one.

Legend: `T` language targets of a task, `K` languages of it, `c` a cluster of items of language l.

The harm of target t to language l is a ratio of sums over clusters, `h(t,l) = sum_c n_c / sum_c w_c` (bits per byte:
n = change of NLL in bits, w = bytes; a share of items: n = minus the change, w = items). Its first-order influence is
`(n_c - h * w_c) / sum w`. Selectivity S is linear in the harms, so its influence `I(l,c)` is the same sum of theirs:
1/T on the diagonal and -1/(T (K-1)) off it. For records A and B measured on the same clusters the difference has
variance `sum_l C_l/(C_l - 1) sum_c (I_A - I_B)^2` (infinitesimal jackknife; clusters are taken as independent within
and between languages), and the interval is normal. Only I is stored: any pair can be compared later, also in a
browser.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from nharness.errors import FileFormatError
from nharness.record.cells import Task, largest_targets
from nharness.record.items import Item, read_items
from nharness.record.model import Record
from nharness.record.store import find, inside

Z95 = NormalDist().inv_cdf(0.975)
Sums = dict[str, tuple[float, float]]
_AGREES = 1e-3


@dataclass(frozen=True)
class Influence:
    """How one record's selectivity on one task depends on each cluster of items.

    languages: per language the influences I(l, c), clusters in ascending order of their ids; `key` is a digest of all
    those ids: records can be paired when their keys are equal.
    """

    key: str
    selectivity: float
    languages: Mapping[str, NDArray[np.float64]]


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


def influences(record: Record, folder: Path, *, max_bytes: int = 500_000_000) -> dict[str, Influence]:
    """Return the influence of each task whose selectivity the items file reproduces; empty without an items file.

    A task is left out when items of a cell are absent, or when the selectivity from the items is not the record's.
    """
    entry = find(record.files, "items")
    if entry is None or entry.bytes > max_bytes:
        return {}
    try:
        path = inside(folder, entry.name)
        sums = _sums(record, read_items(path, max_bytes=max_bytes)) if path.is_file() else {}
    except FileFormatError:
        return {}
    found = {task.name: _influence(record, task, sums) for task in record.tasks}
    return {name: influence for name, influence in found.items() if influence is not None}


def difference(a: Influence, b: Influence) -> Difference | None:
    """Return the paired difference of two records' selectivity on one task; None when their items differ."""
    if a.key != b.key:
        return None
    value = a.selectivity - b.selectivity
    variance = 0.0
    for tag, mine in a.languages.items():
        apart = mine - b.languages[tag]
        if len(apart) > 1:
            variance += len(apart) / (len(apart) - 1) * float(apart @ apart)
    half = Z95 * math.sqrt(variance)
    return Difference(value, (value - half, value + half), paired=True)


def unpaired(a: Record, b: Record, task: str) -> Difference | None:
    """Return the difference from the two records' own intervals, as if their items were independent.

    Wider than the paired one; None when one has no interval.
    """
    first, second = a.summary_of(task), b.summary_of(task)
    one, two = first.selectivity if first else None, second.selectivity if second else None
    if one is None or two is None or one.interval is None or two.interval is None:
        return None
    value = one.value - two.value
    low = math.hypot(one.value - one.interval[0], two.interval[1] - two.value)
    high = math.hypot(one.interval[1] - one.value, two.value - two.interval[0])
    return Difference(value, (value - low, value + high), paired=False)


def _sums(record: Record, items: Iterable[Item]) -> dict[tuple[str, str | None, str], Sums]:
    """Return, per (task, target, language), numerator and weight summed per cluster; control draws are passed over."""
    metrics = {task.name: task.metric for task in record.tasks}
    found: dict[tuple[str, str | None, str], Sums] = {}
    for item in items:
        measured = _measured(metrics.get(item.task, ""), item.values)
        if item.control is not None or measured is None:
            continue
        clusters = found.setdefault((item.task, item.target, item.language), {})
        before = clusters.get(item.cluster, (0.0, 0.0))
        clusters[item.cluster] = (before[0] + measured[0], before[1] + measured[1])
    return found


def _measured(metric: str, values: Mapping[str, float]) -> tuple[float, float] | None:
    """Return an item's numerator and weight: bits and bytes, or the metric's value and 1."""
    if metric == "bits_per_byte":
        nll, size = values.get("nll"), values.get("bytes")
        return None if nll is None or size is None else (nll / math.log(2), size)
    value = values.get(metric)
    return None if value is None else (value, 1.0)


def _influence(record: Record, task: Task, sums: Mapping[tuple[str, str | None, str], Sums]) -> Influence | None:
    weights = _weights(record, task)
    summary = record.summary_of(task.name)
    if not weights or summary is None or summary.selectivity is None:
        return None
    sign = 1.0 if task.direction == "lower" else -1.0
    total, moved, digest = 0.0, {}, hashlib.sha256()
    for tag in task.languages:
        base = sums.get((task.name, None, tag), {})
        names = sorted(base)
        digest.update("\0".join([tag, *names, ""]).encode("utf-8", "surrogatepass"))
        intact = np.array([base[name] for name in names]).reshape(-1, 2)
        moved[tag] = np.zeros(len(names))
        for target in [name for name, language in weights if language == tag]:
            edited = sums.get((task.name, target, tag))
            if not names or edited is None or sorted(edited) != names:
                return None
            change = sign * (np.array([edited[name][0] for name in names]) - intact[:, 0])
            size = float(intact[:, 1].sum())
            harm = float(change.sum()) / size
            total += weights[target, tag] * harm
            moved[tag] += weights[target, tag] * (change - harm * intact[:, 1]) / size
    if abs(total - summary.selectivity.value) > _AGREES * max(abs(total), 1e-6):
        return None
    return Influence(digest.hexdigest()[:16], summary.selectivity.value, moved)


def _weights(record: Record, task: Task) -> dict[tuple[str, str], float]:
    """Return the weight of every measured cell (target, language) in the task's selectivity.

    Means are over complete rows of each language's largest target: those whose own cell and at least one other did not
    fail. The cells of a target without neurons count as harm 0, and are left out here.
    """
    whole = largest_targets(record.targets)
    ok = {(c.target, c.language) for c in record.cells if c.task == task.name and c.status == "ok"}
    found: dict[tuple[str, str], float] = {}
    rows = 0
    for target in record.targets:
        others = [tag for tag in task.languages if tag != target.language and (target.name, tag) in ok]
        if target.name not in whole or (target.name, target.language) not in ok or not others:
            continue
        rows += 1
        if target.neurons and target.language is not None:
            found[target.name, target.language] = 1.0
            found |= {(target.name, tag): -1.0 / len(others) for tag in others}
    return {place: weight / rows for place, weight in found.items()}
