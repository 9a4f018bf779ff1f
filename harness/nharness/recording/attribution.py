"""`attribution` and `relevance`: activation times a gradient, the first-order estimate of what a neuron does.

Legend: `M` neurons.

`attribution` takes the gradient of the loss: minus it is about what zeroing the neuron adds to the loss.
`relevance` takes the gradient that layer-wise relevance propagation makes of the next tokens' logits: how much of them
the neuron carries. Each costs a forward and a backward pass a batch.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from nharness.errors import ModelError
from nharness.recording.accumulator import Accumulator, Activations, Shard
from nharness.statistics import CATALOGUE


class Attribution(Accumulator):
    """Sums over tokens of x = a * dLoss/da, of its square and of its absolute value; float64 [M]."""

    name = "attribution"
    merge = CATALOGUE["attribution"].tensors
    gradient = "loss"

    def __init__(self, shard: Shard) -> None:
        super().__init__(shard)
        self.sums = {
            part: torch.zeros(shard.size, dtype=torch.float64, device=shard.device)
            for part in ("sum", "sumsq", "abssum")
        }

    def add(self, activations: Activations) -> None:
        """Add sum, sum of squares and sum of sizes of activation times gradient."""
        product, scratch = _product(activations), self.shard.scratch
        self.sums["sum"][activations.columns] += scratch.column_sums(product)
        self.sums["sumsq"][activations.columns] += scratch.column_sums(product * product)
        self.sums["abssum"][activations.columns] += scratch.column_sums(product.abs())

    def tensors(self) -> dict[str, NDArray[Any]]:
        """`sum`, `sumsq` and `abssum`: float64 [M]."""
        return {part: total.cpu().numpy() for part, total in self.sums.items()}


class Relevance(Accumulator):
    """Sum over tokens of the neuron's relevance; float64 [M]."""

    name = "relevance"
    merge = CATALOGUE["relevance"].tensors
    gradient = "relevance"

    def __init__(self, shard: Shard) -> None:
        super().__init__(shard)
        self.sum = torch.zeros(shard.size, dtype=torch.float64, device=shard.device)

    def add(self, activations: Activations) -> None:
        """Add activation times gradient."""
        self.sum[activations.columns] += self.shard.scratch.column_sums(_product(activations))

    def tensors(self) -> dict[str, NDArray[Any]]:
        """`sum`: float64 [M]."""
        return {"sum": self.sum.cpu().numpy()}


def _product(activations: Activations) -> Tensor:
    if activations.gradient is None:
        raise ModelError("attribution needs gradients; the recording pass had none")
    if activations.values.dtype == torch.float64:
        return activations.values * activations.gradient
    return activations.values.to(torch.float32) * activations.gradient.to(torch.float32)
