"""Measurements: the items of cells by column, and cells paired with their baseline item by item.

Legend: `n` items of a cell.

A cell's metric is the sum of its items' values over the sum of their weights: for perplexity (metric `bits_per_byte`)
value is the negative log-likelihood in bits, `nll / ln 2`, and weight the UTF-8 bytes; for every other metric value is
the item's value of that name and weight 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nharness.errors import UsageError
from nharness.information import BITS_PER_BYTE, bits

Floats = NDArray[np.float64]
Key: TypeAlias = tuple[str, str | None, int | None, str]


class ItemLike(Protocol):
    """What an item of any source has; items of the evaluation and of items files both do."""

    @property
    def id(self) -> str:
        """Stable across cells."""

    @property
    def cluster(self) -> str:
        """What items are resampled by."""

    @property
    def values(self) -> Mapping[str, float]:
        """Numbers by name."""


class ItemOfCell(ItemLike, Protocol):
    """An item that says which cell it belongs to, as the lines of an items file do."""

    @property
    def cell(self) -> Key:
        """(task, target, control, language)."""


@dataclass(frozen=True)
class Measurement:
    """One cell's items by column.

    target: None for the baseline. control: None for the detection's own neurons, else the number of the random draw.
    values: float64 [n] by name; NaN where an item lacks a value. available: items the task has in this language, None
    for as many as there are. edited_activations: None where unknown.
    """

    task: str
    target: str | None
    control: int | None
    language: str
    ids: tuple[str, ...]
    clusters: tuple[str, ...]
    values: Mapping[str, Floats]
    available: int | None = None
    edited_activations: int | None = None

    def __post_init__(self) -> None:
        size = len(self.ids)
        if len(set(self.ids)) != size:
            twice = Counter(self.ids).most_common(1)[0][0]
            raise UsageError(f"item {twice!r} occurs twice in {self.task} of {self.target} on {self.language}")
        lengths = {len(self.clusters), *(len(column) for column in self.values.values())}
        if lengths - {size}:
            raise UsageError(f"columns of {sorted(lengths)} values for {size} items of {self.task} on {self.language}")

    @property
    def key(self) -> Key:
        """(task, target, control, language)."""
        return self.task, self.target, self.control, self.language

    @classmethod
    def of(cls, key: Key, items: Sequence[ItemLike], **known: int | None) -> Measurement:
        """Return the measurement of a cell's items; `known` is `available` and `edited_activations`."""
        names = sorted({name for item in items for name in item.values})
        columns = {
            name: np.array([float(item.values.get(name, np.nan)) for item in items], dtype=np.float64) for name in names
        }
        ids, clusters = tuple(item.id for item in items), tuple(item.cluster for item in items)
        task, target, control, language = key
        return cls(task, target, control, language, ids, clusters, columns, **known)


@dataclass(frozen=True)
class Failure:
    """A cell that gave no items, and why."""

    task: str
    target: str | None
    control: int | None
    language: str
    reason: str

    @property
    def key(self) -> Key:
        """(task, target, control, language)."""
        return self.task, self.target, self.control, self.language


@dataclass(frozen=True)
class Paired:
    """A cell and its baseline on the items both have, in the baseline's order.

    before, after: values [n] (bits, or the metric); weight [n] (bytes, or 1); tokens: their number, None if uncounted.
    """

    ids: tuple[str, ...]
    clusters: tuple[str, ...]
    before: Floats
    after: Floats
    weight: Floats
    tokens: float | None

    @property
    def baseline(self) -> float:
        """The intact model's metric on these items."""
        return float(self.before.sum() / self.weight.sum())

    @property
    def edited(self) -> float:
        """The edited model's metric on these items."""
        return float(self.after.sum() / self.weight.sum())

    @property
    def change(self) -> float:
        """Edited minus baseline."""
        return float((self.after - self.before).sum() / self.weight.sum())

    def only(self, ids: frozenset[str]) -> Paired:
        """Return the part of it on some items; raises `UsageError` when none of them is in it."""
        kept = np.array([name in ids for name in self.ids], dtype=bool)
        if not kept.any():
            raise UsageError("none of the requested items is paired")
        return Paired(
            tuple(name for name, keep in zip(self.ids, kept, strict=True) if keep),
            tuple(name for name, keep in zip(self.clusters, kept, strict=True) if keep),
            self.before[kept],
            self.after[kept],
            self.weight[kept],
            None,
        )


def columns(measurement: Measurement, metric: str) -> tuple[Floats, Floats]:
    """Return value and weight [n] of every item; NaN where an item lacks the metric.

    Raises `UsageError` naming the metric when no item has it.
    """
    needed = ("nll", "bytes") if metric == BITS_PER_BYTE else (metric,)
    for name in needed:
        if name not in measurement.values:
            raise UsageError(
                f"items of {measurement.task} on {measurement.language} have no {name!r}; "
                f"they have {', '.join(sorted(measurement.values)) or 'no values'}"
            )
    if metric == BITS_PER_BYTE:
        return bits(measurement.values["nll"]), measurement.values["bytes"]
    return measurement.values[metric], np.ones(len(measurement.ids))


def pair(baseline: Measurement, edited: Measurement, metric: str) -> Paired | None:
    """Return both on the items that they share and that have the metric in both; None when none has positive weight.

    Raises `UsageError` when an item weighs differently in the two: they were not measured on the same text.
    """
    here, there = _places(baseline.ids, edited.ids)
    (before, weight), (after, other) = columns(baseline, metric), columns(edited, metric)
    before, weight, after, other = before[here], weight[here], after[there], other[there]
    known = np.isfinite(before) & np.isfinite(after) & np.isfinite(weight)
    if not np.array_equal(weight[known], other[known]):
        raise UsageError(f"{edited.task} on {edited.language}: an item differs in its bytes from the baseline")
    if not known.any() or weight[known].sum() <= 0:
        return None
    kept = here[known]
    tokens = float(baseline.values["tokens"][kept].sum()) if "tokens" in baseline.values else None
    return Paired(
        tuple(baseline.ids[place] for place in kept),
        tuple(baseline.clusters[place] for place in kept),
        before[known],
        after[known],
        weight[known],
        tokens,
    )


def _places(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the common ids stand in each, in the order of the first."""
    if first[: len(second)] == second:
        return np.arange(len(second)), np.arange(len(second))
    places = {name: place for place, name in enumerate(second)}
    here = [place for place, name in enumerate(first) if name in places]
    there = [places[first[place]] for place in here]
    return np.array(here, dtype=np.int64), np.array(there, dtype=np.int64)


def by_key(measurements: Iterable[Measurement]) -> dict[Key, Measurement]:
    """Return measurements by key; raises `UsageError` for a cell that occurs twice."""
    table: dict[Key, Measurement] = {}
    for measurement in measurements:
        if measurement.key in table:
            raise UsageError(f"cell {measurement.key} was measured twice")
        table[measurement.key] = measurement
    return table


def from_items(items: Iterable[ItemOfCell]) -> list[Measurement]:
    """Return the measurements of an items file's lines, cells in order of first appearance."""
    cells: dict[Key, list[ItemOfCell]] = {}
    for item in items:
        cells.setdefault(item.cell, []).append(item)
    return [Measurement.of(key, rows) for key, rows in cells.items()]
