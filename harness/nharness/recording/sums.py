"""`activation_count` and `moments`: how often a neuron is active, and its sum and sum of squares.

Legend: `M` neurons of the model.

Both add columns of a slice (at most `BLOCK` rows on a CPU) in float32 and add the result to float64: an error of at
most 256 * 2^-24 = 1.6e-5 of the sum of absolute values, in practice some 1e-7. Counts are sums of at most 256 ones:
exact.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray

from nharness.recording.accumulator import Accumulator, Activations, Shard
from nharness.statistics import CATALOGUE


class ActivationCount(Accumulator):
    """Tokens with a > 0, and for mixture-of-experts models the tokens that reached each neuron."""

    name = "activation_count"
    merge = CATALOGUE["activation_count"].tensors

    def __init__(self, shard: Shard) -> None:
        super().__init__(shard)
        self.positive = torch.zeros(shard.size, dtype=torch.int64, device=shard.device)
        self.routed = torch.zeros(shard.size, dtype=torch.int64, device=shard.device) if shard.routed else None

    def add(self, activations: Activations) -> None:
        """Count; NaN > 0 is false, so that NaN is not active."""
        if self.routed is not None:
            self.routed[activations.columns] += len(activations.values)
        if self.shard.scratch.by_product(activations.values):
            ones = torch.gt(activations.values, 0, out=self.shard.scratch.like(activations.values))
            self.positive[activations.columns] += self.shard.scratch.column_sums(ones).to(torch.int64)
        else:
            self.positive[activations.columns] += (activations.values > 0).sum(0)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """`positive`, and `routed` where tokens are routed: int64 [M]."""
        routed = {} if self.routed is None else {"routed": self.routed.cpu().numpy()}
        return {"positive": self.positive.cpu().numpy(), **routed}


class Moments(Accumulator):
    """Sum and sum of squares of a; a NaN stays visible as NaN."""

    name = "moments"
    merge = CATALOGUE["moments"].tensors

    def __init__(self, shard: Shard) -> None:
        super().__init__(shard)
        self.sum = torch.zeros(shard.size, dtype=torch.float64, device=shard.device)
        self.sumsq = torch.zeros(shard.size, dtype=torch.float64, device=shard.device)
        self.routed = torch.zeros(shard.size, dtype=torch.int64, device=shard.device) if shard.routed else None

    def add(self, activations: Activations) -> None:
        """Add values and squares."""
        scratch = self.shard.scratch
        if self.routed is not None:
            self.routed[activations.columns] += len(activations.values)
        self.sum[activations.columns] += scratch.column_sums(activations.values)
        self.sumsq[activations.columns] += scratch.column_squares(activations.values)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """`sum` and `sumsq`: float64 [M], and `routed` where tokens are routed: int64 [M]."""
        routed = {} if self.routed is None else {"routed": self.routed.cpu().numpy()}
        return {"sum": self.sum.cpu().numpy(), "sumsq": self.sumsq.cpu().numpy(), **routed}
