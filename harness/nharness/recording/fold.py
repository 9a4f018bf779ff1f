"""Adding shards up one by one in fixed memory, with the same bytes as `nharness.statistics.merge` of all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nharness.errors import UsageError
from nharness.statistics import CATALOGUE, LanguageTotals, Statistics, TensorRule, merge


class Fold:
    """The running sum of shards of one site. Sums stay one tensor; one row a document is kept until the end."""

    def __init__(self) -> None:
        self._first: Statistics | None = None
        self._totals: dict[str, LanguageTotals] = {}
        self._sums: dict[str, NDArray[Any]] = {}
        self._rows: dict[str, list[NDArray[Any]]] = {}

    def add(self, shard: Statistics) -> None:
        """Take the next shard; raises `UsageError` when it does not belong to those before."""
        if self._first is None:
            self._first = Statistics(shard.site, shard.layer_widths, {}, {}, shard.provenance)
        empty = Statistics(shard.site, shard.layer_widths, {}, {}, shard.provenance)
        merge([self._first, empty])
        for tag, more in shard.totals.items():
            self._totals[tag] = self._totals[tag] + more if tag in self._totals else more
        for name, tensor in shard.tensors.items():
            self._add_tensor(name, tensor)

    def result(self) -> Statistics:
        """Return the statistics so far; raises `UsageError` before the first shard."""
        if self._first is None:
            raise UsageError("no statistics were recorded; expected at least one shard")
        tensors = {**self._sums, **{name: np.concatenate(rows) for name, rows in self._rows.items()}}
        return Statistics(
            self._first.site, self._first.layer_widths, dict(self._totals), tensors, self._first.provenance
        )

    def _add_tensor(self, name: str, tensor: NDArray[Any]) -> None:
        rule = _rule(name)
        if rule == "concatenate":
            self._rows.setdefault(name, []).append(tensor)
        elif name not in self._sums:
            self._sums[name] = tensor.copy()
        elif rule == "sum":
            self._sums[name] += tensor
        elif not np.array_equal(self._sums[name], tensor):
            raise UsageError(f"shards differ in {name}, which must be the same in all of them")


def _rule(name: str) -> TensorRule:
    statistic, tensor, _ = name.split("/", 2)
    known = CATALOGUE.get(statistic)
    return known.tensors.get(tensor, "sum") if known else "sum"
