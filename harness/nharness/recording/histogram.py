"""`histogram`: how often the activation of each neuron falls into each of 400 bins.

Legend: `M` neurons, `S` bins (400), edges e_0 < ... < e_S.

1. Before the pass, moments are recorded over the first documents of every language.
2. Bins are of equal width between max(mean - 3 sd, -0.4) and mean + 3 sd, mean and standard deviation being those of
   all neurons and languages together (Kim et al., 2026). Departure: they are those of the scouted documents, not of
   the corpus.
3. Column 0 counts a < e_0 and NaN, column i counts e_{i-1} <= a < e_i, column S + 1 counts a >= e_S. Bins are
   computed in float32, so a value within rounding of an edge may fall on either side of it.

One range serves all neurons, so that what a loud neuron does lies in the last column: enough to tell distributions
apart, and no ground for quantiles (`quantile_sketch`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nharness.recording.accumulator import Accumulator, Activations, Shard
from nharness.statistics import CATALOGUE, Statistics

BINS = 400
LOWEST = -0.4


def bin_edges(scouted: Statistics) -> NDArray[np.float32]:
    """Return the S + 1 edges from moments, float32; one unit wide where all activations are equal."""
    tokens = sum(scouted.tokens(tag).sum() for tag in scouted.languages)
    total = sum(np.nansum(scouted.get("moments", "sum", tag)) for tag in scouted.languages)
    squares = sum(np.nansum(scouted.get("moments", "sumsq", tag)) for tag in scouted.languages)
    mean = total / max(tokens, 1)
    deviation = float(np.sqrt(max(squares / max(tokens, 1) - mean**2, 0.0)))
    low, high = max(mean - 3 * deviation, LOWEST), mean + 3 * deviation
    if not high > low:
        low, high = mean - 0.5, mean + 0.5
    return np.linspace(low, high, BINS + 1).astype(np.float32)


class Histogram(Accumulator):
    """Tokens per bin; int32 [M, S + 2] and the edges."""

    name = "histogram"
    merge = CATALOGUE["histogram"].tensors
    scout = "moments"

    def __init__(self, shard: Shard) -> None:
        super().__init__(shard)
        self.edges: NDArray[np.float32] = shard.settings["edges"]
        self.bins = len(self.edges) - 1
        low, high = float(self.edges[0]), float(self.edges[-1])
        self.scale = self.bins / (high - low)
        self.offset = 1 - low * self.scale
        self.count = torch.zeros(shard.size * (self.bins + 2), dtype=torch.int32, device=shard.device)
        self.starts = torch.arange(shard.size, device=shard.device) * (self.bins + 2)
        self.ones = torch.ones(1, dtype=torch.int32, device=shard.device)

    @classmethod
    def prepare(cls, scouted: Statistics) -> Mapping[str, Any]:
        """Return `edges`, float32 [S + 1]."""
        return {"edges": bin_edges(scouted)}

    def add(self, activations: Activations) -> None:
        """Count each value once; a NaN becomes the smallest integer or 0, and 0 is the first column."""
        scratch = self.shard.scratch
        wide = torch.float64 if activations.values.dtype == torch.float64 else torch.float32
        place = scratch.like(activations.values, dtype=wide)
        torch.mul(activations.values, self.scale, out=place)
        place.add_(self.offset).clamp_(0, self.bins + 1)
        whole = scratch.like(activations.values, dtype=torch.int32).copy_(place).clamp_(min=0)
        wider = scratch.like(activations.values, dtype=torch.int64)
        index = torch.add(whole, self.starts[activations.columns], out=wider)
        if len(self.ones) < index.numel():
            self.ones = torch.ones(index.numel(), dtype=torch.int32, device=index.device)
        self.count.scatter_add_(0, index.view(-1), self.ones[: index.numel()])

    def tensors(self) -> dict[str, NDArray[Any]]:
        """`count`: int32 [M, S + 2], the outer bins first and last; `edges`: float32 [S + 1]."""
        return {"count": self.count.view(self.shard.size, self.bins + 2).cpu().numpy(), "edges": self.edges}
