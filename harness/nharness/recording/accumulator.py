"""What feeds a statistic: an accumulator is given activations, some at a time, and gives tensors back.

Legend: `M` neurons of the model, `D` documents of the shard, `r` rows (counted tokens) and `n` neurons at a time.

    class Largest(Accumulator):
        '''largest: float32 [M], the largest activation of each neuron.'''

        name = "largest"
        merge = {"largest": "max"}

        def __init__(self, shard):
            super().__init__(shard)
            self.most = torch.full((shard.size,), -torch.inf, device=shard.device)

        def add(self, activations):
            most = self.most[activations.columns]
            torch.maximum(most, activations.values.amax(0), out=most)

        def tensors(self):
            return {"largest": self.most.cpu().numpy()}

Every tensor has a merge rule (`nharness.statistics.StatisticFormat`), by which shards become one: "sum", "max", "min",
"concatenate" (one row per document, in the shard's order) or "same". Whoever changes what a tensor holds changes the
`version`; statistics of two versions are not merged, and none is taken from a store.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nharness.errors import PluginError
from nharness.models import NeuronMap
from nharness.statistics import MergeRule, StatisticFormat, Statistics

BLOCK = 256
"""Most rows at a time on a CPU: it stays in the cache, and a float32 sum over it keeps five digits."""


@dataclass(frozen=True, slots=True)
class Activations:
    """Activations of `n` neurons at some counted tokens: never padding, never an uncounted special token.

    values: [r, n], float32 (float64 for a float64 model; the model's own type on an accelerator); not to be changed.
    first: flat index of the first neuron. document: the place in the shard of the document that all rows are of,
    None where they may be of several. gradient: [r, n] for accumulators that ask for one.
    """

    values: Tensor
    first: int
    document: int | None = None
    gradient: Tensor | None = None

    @property
    def columns(self) -> slice:
        """The neurons' place in a tensor over all of them."""
        return slice(self.first, self.first + self.values.shape[1])


class Scratch:
    """Buffers that are used again and again, and column sums that need no new memory of the size of their input."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[int, torch.dtype], Tensor] = {}
        self._ones: dict[torch.dtype, Tensor] = {}

    def like(self, values: Tensor, *, slot: int = 0, dtype: torch.dtype | None = None) -> Tensor:
        """Return an uninitialised tensor of the shape of `values`; the same `slot` is the same memory."""
        kind = values.dtype if dtype is None else dtype
        buffer = self._buffers.get((slot, kind))
        if buffer is None or buffer.numel() < values.numel() or buffer.device != values.device:
            buffer = torch.empty(values.numel(), dtype=kind, device=values.device)
            self._buffers[slot, kind] = buffer
        return buffer[: values.numel()].view(values.shape)

    def by_product(self, values: Tensor) -> bool:
        """Tell whether columns are summed by a matrix product with ones: the fastest way on a CPU."""
        return values.device.type == "cpu"

    def column_sums(self, values: Tensor) -> Tensor:
        """Return the sum over rows [n]: in one pass, in float32 for values of at most that precision."""
        if not self.by_product(values):
            return values.sum(0, dtype=torch.float64 if values.dtype == torch.float64 else torch.float32)
        ones = self._ones.get(values.dtype)
        if ones is None or ones.shape[1] < len(values):
            ones = torch.ones(1, max(BLOCK, len(values)), dtype=values.dtype)
            self._ones[values.dtype] = ones
        return (ones[:, : len(values)] @ values)[0]

    def column_squares(self, values: Tensor) -> Tensor:
        """Return the sum of squares over rows [n], as `column_sums` does; nothing of the input's size on a device."""
        if self.by_product(values):
            return self.column_sums(torch.mul(values, values, out=self.like(values)))
        wide = torch.float64 if values.dtype == torch.float64 else torch.float32
        norms: Tensor = torch.linalg.vector_norm(values, dim=0, dtype=wide)
        return norms.square()


@dataclass(frozen=True)
class Shard:
    """What an accumulator may know: the model and its map, the site asked for, and the shard's documents.

    document_tokens: int64 [D], counted tokens of each document. settings: what `prepare` returned for the statistic.
    """

    model: nn.Module
    neuron_map: NeuronMap
    site: str
    device: torch.device
    document_tokens: NDArray[np.int64]
    settings: Mapping[str, Any] = field(default_factory=dict)
    scratch: Scratch = field(default_factory=Scratch)

    @property
    def size(self) -> int:
        """Number of neurons of the model, M."""
        return sum(self.neuron_map.layer_widths)

    @property
    def documents(self) -> int:
        """Number of documents of the shard, D."""
        return len(self.document_tokens)

    @property
    def routed(self) -> bool:
        """Whether some neurons see only the tokens that were routed to them."""
        return any(segment.routed for layer in self.neuron_map.layers for segment in layer.segments)


class Accumulator(ABC):
    """Sums up one statistic over one shard of one language; a new one is made for every shard.

    name: the statistic. version: of what its tensors hold. merge: each tensor's rule. by_document: what is added is of
    one document at a time. gradient: activations carry a gradient, "loss" that of the summed next-token NLL in nats,
    "relevance" that of layer-wise relevance propagation (both: `nharness.recording.gradients`); such a statistic costs
    a backward pass. scout: a statistic that is recorded over the first documents of every language before anything
    else, and from which `prepare` makes the settings.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    merge: ClassVar[Mapping[str, MergeRule]]
    by_document: ClassVar[bool] = False
    gradient: ClassVar[Literal["", "loss", "relevance"]] = ""
    scout: ClassVar[str | None] = None

    def __init__(self, shard: Shard) -> None:
        self.shard = shard

    @classmethod
    def format(cls) -> StatisticFormat:
        """Return what the statistic declares of itself; raises `PluginError` when it declares no rule."""
        rules = getattr(cls, "merge", None)
        if not isinstance(rules, Mapping) or not rules:
            raise PluginError(
                f"statistic {cls.name} does not say how its shards are merged; "
                f'expected a rule for every tensor, such as merge = {{"largest": "max"}}'
            )
        summary = (cls.__doc__ or cls.name).strip().splitlines()[0]
        return StatisticFormat(cls.name, summary, dict(rules), cls.version)

    @classmethod
    def observes(cls, site: str) -> str:
        """Return the site whose values are wanted when the statistic is asked for at `site`."""
        return site

    @classmethod
    def prepare(cls, scouted: Statistics) -> Mapping[str, Any]:
        """Return the settings of all shards, from the statistic `scout` at the same site over all languages."""
        del scouted
        return {}

    @abstractmethod
    def add(self, activations: Activations) -> None:
        """Take some in; their memory is used again afterwards."""

    @abstractmethod
    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the shard's tensors by name, those that `merge` names."""
