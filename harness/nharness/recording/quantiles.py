"""`quantile_sketch`: exact counts of every neuron's activation on the fixed scale of `nharness.statistics.sketch`.

Legend: `M` neurons, `S` columns.

A value's column is looked up by the leading bits of its float32: sign, exponent and three bits of the mantissa.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray

from nharness.recording.accumulator import Accumulator, Activations, Shard
from nharness.statistics import CATALOGUE
from nharness.statistics.sketch import NAME, SIZE, columns_of_keys

_DROPPED = 20  # trailing bits of a float32 that are not looked at
_HALF = 1 << 11


class QuantileSketch(Accumulator):
    """Tokens per column, int32 [M, S], and the smallest and largest value, float32 [M]; a NaN stays visible in both."""

    name = NAME
    merge = CATALOGUE[NAME].tensors

    def __init__(self, shard: Shard) -> None:
        super().__init__(shard)
        self.count = torch.zeros(shard.size * SIZE, dtype=torch.int32, device=shard.device)
        self.starts = torch.arange(shard.size, device=shard.device) * SIZE
        self.columns = torch.from_numpy(columns_of_keys()).to(shard.device)
        self.ones = torch.ones(1, dtype=torch.int32, device=shard.device)
        self.least = torch.full((shard.size,), torch.inf, device=shard.device)
        self.most = torch.full((shard.size,), -torch.inf, device=shard.device)

    def add(self, activations: Activations) -> None:
        """Count each value once."""
        values, scratch = activations.values.to(torch.float32), self.shard.scratch
        if not len(values):
            return
        least, most = torch.aminmax(values, dim=0)
        torch.minimum(self.least[activations.columns], least, out=self.least[activations.columns])
        torch.maximum(self.most[activations.columns], most, out=self.most[activations.columns])
        key = torch.bitwise_right_shift(
            values.view(torch.int32), _DROPPED, out=scratch.like(values, dtype=torch.int32)
        ).add_(_HALF)
        index = scratch.like(values, dtype=torch.int64)
        torch.index_select(self.columns, 0, key.view(-1), out=index.view(-1))
        index.add_(self.starts[activations.columns])
        if len(self.ones) < index.numel():
            self.ones = torch.ones(index.numel(), dtype=torch.int32, device=index.device)
        self.count.scatter_add_(0, index.view(-1), self.ones[: index.numel()])

    def tensors(self) -> dict[str, NDArray[Any]]:
        """`count`: int32 [M, S]; `least` and `most`: float32 [M], infinite without tokens."""
        count = self.count.view(self.shard.size, SIZE).cpu().numpy()
        return {"count": count, "least": self.least.cpu().numpy(), "most": self.most.cpu().numpy()}
