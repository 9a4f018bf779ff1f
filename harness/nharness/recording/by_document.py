"""Statistics with one row per document: `document_mean`, `up_magnitude`, `output_change`.

Legend: `M` neurons, `D` documents of the shard. Rows are in document order; a long document's parts are one row.

These grow with the number of documents, 4 M bytes each; everything else that is recorded does not grow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nharness.errors import ModelError
from nharness.models import NeuronMap
from nharness.models.neuron_map import UP, Segment
from nharness.recording.accumulator import Accumulator, Activations, Shard
from nharness.statistics import CATALOGUE


class _PerDocument(Accumulator):
    """Sum of something over each document's tokens, float32 [D, M]."""

    by_document = True

    def __init__(self, shard: Shard) -> None:
        super().__init__(shard)
        self.sum = torch.zeros(shard.documents, shard.size, device=shard.device)
        self.reached = torch.zeros(shard.documents, shard.size, device=shard.device) if shard.routed else None

    def add(self, activations: Activations) -> None:
        """Add their column sums to the row of their document."""
        measured = self.measure(activations.values)
        self.sum[activations.document, activations.columns] += self.shard.scratch.column_sums(measured)
        if self.reached is not None:
            self.reached[activations.document, activations.columns] += len(activations.values)

    def measure(self, values: Tensor) -> Tensor:
        """Return the value that is summed over a document's tokens."""
        return values

    def mean(self) -> Tensor:
        """Return the sum over the number of tokens that reached the neuron, 0 where none did."""
        tokens = self.reached
        if tokens is None:
            tokens = torch.from_numpy(self.shard.document_tokens).to(self.sum)[:, None]
        return self.sum / tokens.clamp(min=1)


class DocumentMean(_PerDocument):
    """Mean of a over each document's tokens."""

    name = "document_mean"
    merge = CATALOGUE["document_mean"].tensors

    def tensors(self) -> dict[str, NDArray[Any]]:
        """`mean`: float32 [D, M]."""
        return {"mean": self.mean().cpu().numpy()}


class UpMagnitude(_PerDocument):
    """Sum of |u| over each document's tokens, u being the up-projection's output, whatever site it is asked for at."""

    name = "up_magnitude"
    merge = CATALOGUE["up_magnitude"].tensors

    @classmethod
    def observes(cls, site: str) -> str:
        """Return the site of the up-projection's output."""
        del site
        return UP

    def measure(self, values: Tensor) -> Tensor:
        """Return the magnitude |u| of every value, in the shape of `values`."""
        return torch.abs(values, out=self.shard.scratch.like(values))

    def tensors(self) -> dict[str, NDArray[Any]]:
        """`sum`: float32 [D, M]."""
        return {"sum": self.sum.cpu().numpy()}


class OutputChange(_PerDocument):
    """Root mean square over each document's tokens of |h_j| * |W_down[:, j]|: how far the layer's output would move.

    The router's weight of a mixture-of-experts model is left out.
    """

    name = "output_change"
    merge = CATALOGUE["output_change"].tensors

    @classmethod
    def observes(cls, site: str) -> str:
        """Return the site of what the down projection takes."""
        del site
        return "hidden"

    def measure(self, values: Tensor) -> Tensor:
        """Return the square of h."""
        wide = values if values.dtype == torch.float64 else values.to(torch.float32)
        return torch.mul(wide, wide, out=self.shard.scratch.like(wide))

    def tensors(self) -> dict[str, NDArray[Any]]:
        """`mean`: float32 [D, M]."""
        norms = torch.from_numpy(down_norms(self.shard)).to(self.sum)
        return {"mean": (self.mean().sqrt() * norms).cpu().numpy()}


def down_norms(shard: Shard) -> NDArray[np.float32]:
    """Return the norm of every neuron's weights in its down projection, float32 [M].

    Raises `ModelError` for weights whose numbers cannot be read: quantised ones, and those that are not in memory.
    """
    parameters = dict(shard.model.named_parameters())
    norms = np.zeros(shard.size, dtype=np.float32)
    for layer, start in zip(shard.neuron_map.layers, layer_starts(shard.neuron_map), strict=True):
        for segment in layer.segments:
            first = start + segment.first_unit
            norms[first : first + segment.units] = _segment_norms(parameters, segment)
    return norms


def layer_starts(neuron_map: NeuronMap) -> list[int]:
    """Return the flat index of each layer's first neuron."""
    widths = neuron_map.layer_widths
    return [sum(widths[:index]) for index in range(len(widths))]


def _segment_norms(parameters: Mapping[str, Tensor], segment: Segment) -> NDArray[np.float32]:
    weight = parameters.get(segment.down.parameter)
    if weight is None or weight.is_meta or not weight.is_floating_point():
        raise ModelError(
            f"statistic output_change needs the numbers in {segment.down.parameter}, which is quantised or not in "
            f"memory; record up_magnitude instead, or load the model unquantised"
        )
    unit_dim = segment.down.unit_dim % weight.ndim
    others = [dim for dim in range(weight.ndim) if dim != unit_dim and not (weight.ndim == 3 and dim == 0)]
    norms = torch.linalg.vector_norm(weight.detach().to(torch.float32), dim=others)
    found: NDArray[np.float32] = norms.reshape(-1).cpu().numpy()
    return found
