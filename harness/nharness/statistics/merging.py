"""Merging shards: each tensor by the rule that its statistic declares, one shard after the other, in fixed memory.

The running result is one tensor for all but one row a document, which is kept until the end. Shards are taken in their
order: sums of floating-point numbers depend on it, and so do rows of documents. Whoever gets shards in another order
says each one's place, and the result is the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nharness.errors import UsageError
from nharness.statistics.catalogue import MergeRule, StatisticFormat
from nharness.statistics.table import LanguageTotals, Statistics

_TAKEN: Mapping[MergeRule, Callable[..., Any]] = {"sum": np.add, "max": np.maximum, "min": np.minimum}


class Merger:
    """The merged shards of one site so far."""

    def __init__(self) -> None:
        self._first: Statistics | None = None
        self._formats: dict[str, StatisticFormat] = {}
        self._totals: dict[str, LanguageTotals] = {}
        self._whole: dict[str, NDArray[Any]] = {}
        self._own: set[str] = set()  # tensors of `_whole` that are no shard's, and may be written to
        self._rows: dict[str, list[NDArray[Any]]] = {}
        self._waiting: dict[int, Statistics] = {}
        self._next = 0

    def add(self, shard: Statistics, *, place: int | None = None) -> None:
        """Take a shard: the next one, or the one of the given place, 0, 1, ..., in any order.

        A shard that comes early waits for those before it. Raises `UsageError` when it does not belong to the others:
        another site, other widths or components, another provenance or version of a statistic, another shape.
        """
        if place is None:
            place = self._next
        if place < self._next or place in self._waiting:
            raise UsageError(f"shard {place} of the statistics was given twice")
        self._waiting[place] = shard
        while self._next in self._waiting:
            self._take(self._waiting.pop(self._next))
            self._next += 1

    def result(self) -> Statistics:
        """Return the statistics so far; raises `UsageError` before the first shard, and while one is missing."""
        if self._waiting:
            raise UsageError(f"shard {self._next} of the statistics is missing; later ones were given")
        if self._first is None:
            raise UsageError("no statistics to merge; expected at least one shard")
        tensors = {**self._whole, **{name: np.concatenate(rows) for name, rows in self._rows.items()}}
        return replace(self._first, totals=dict(self._totals), tensors=tensors, formats=dict(self._formats))

    def _take(self, shard: Statistics) -> None:
        if self._first is None:
            self._first = replace(shard, totals={}, tensors={}, formats={})
        _require_alike(self._first, shard)
        for name, declared in shard.formats.items():
            known = self._formats.setdefault(name, declared)
            if not known.agrees_with(declared):
                raise UsageError(
                    f"statistics of {name} in different versions, or merged differently: {declared}, {known}"
                )
            self._formats[name] = replace(known, tensors={**known.tensors, **declared.tensors})
        for tag, more in shard.totals.items():
            self._totals[tag] = self._totals[tag] + more if tag in self._totals else more
        for name, tensor in shard.tensors.items():
            self._add_tensor(name, tensor, shard)

    def _add_tensor(self, name: str, tensor: NDArray[Any], shard: Statistics) -> None:
        rule = shard.rule(name)
        so_far = self._rows[name][0] if name in self._rows else self._whole.get(name)
        rows = int(rule == "concatenate")
        if so_far is not None and so_far.shape[rows:] != tensor.shape[rows:]:
            raise UsageError(f"shards differ in the shape of {name}: {so_far.shape} and {tensor.shape}")
        if rule == "concatenate":
            self._rows.setdefault(name, []).append(tensor)
        elif so_far is None:
            self._whole[name] = tensor
        elif rule == "same":
            if not np.array_equal(so_far, tensor):
                raise UsageError(f"shards differ in {name}, which must be the same in all of them")
        else:
            so_far = self._wide_enough(so_far, name)
            out = so_far if name in self._own else None
            self._whole[name] = _TAKEN[rule](so_far, tensor, out=out)
            self._own.add(name)

    def _wide_enough(self, so_far: NDArray[Any], name: str) -> NDArray[Any]:
        """Return counts of 32 bits as they are, or wider where the language has more tokens than they can count."""
        narrow = so_far.dtype.kind in "iu" and so_far.dtype.itemsize < 8
        if not narrow or self._totals[name.rsplit("/", 1)[1]].tokens <= np.iinfo(so_far.dtype).max:
            return so_far
        self._own.add(name)
        return so_far.astype(np.int64)


def merge(shards: Iterable[Statistics]) -> Statistics:
    """Merge shards in the order given, so that the same shards always give the same bytes.

    Raises `UsageError` when they do not belong together (`Merger.add`), or when there is none.
    """
    merger = Merger()
    for shard in shards:
        merger.add(shard)
    return merger.result()


def _require_alike(first: Statistics, shard: Statistics) -> None:
    for what in ("site", "component", "layer_widths", "provenance"):
        if getattr(first, what) != getattr(shard, what):
            raise UsageError(
                f"statistics that differ in {what.replace('_', ' ')} cannot be merged: "
                f"{getattr(first, what)}, {getattr(shard, what)}"
            )
