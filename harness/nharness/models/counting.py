"""Count what edits folded into the weights change, by hooks that only look at shapes and at the routing.

Shapes: `E` experts, `k` experts per token, `D` model width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nharness.models.edit import EditReport, Plan
from nharness.models.neuron_map import NeuronMap, Segment
from nharness.models.operations import INTEGERS, tensors_in


@contextmanager
def count_edits(model: nn.Module, neuron_map: NeuronMap, plan: Plan, report: EditReport) -> Iterator[None]:
    """Add tokens x units to `report` whenever an edited block runs."""
    handles = []
    try:
        for (index, _), edits in plan.items():
            for segment in neuron_map.layers[index].segments:
                counts = edits.touched[segment.first_unit : segment.first_unit + segment.units]
                counts = counts.reshape(segment.experts, segment.width).sum(1)
                if bool(counts.any()):
                    module = model.get_submodule(segment.block if segment.routed else segment.down.module or segment.block)
                    handles.append(module.register_forward_pre_hook(_counter(segment, counts, report), with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _counter(segment: Segment, counts: Tensor, report: EditReport) -> Callable[..., None]:
    """Return the hook that counts for one segment; `counts` int64 [E] are its edited units per expert."""

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        tensors = tensors_in((*args, *kwargs.values()))
        if segment.routed:
            report.add(counts.to(tensors[0].device)[_experts_met(segment, tensors)].sum())
        else:
            report.add(int(counts.sum()) * (tensors[0].numel() // tensors[0].shape[-1]))

    return before


def _experts_met(segment: Segment, tensors: list[Tensor]) -> Tensor:
    """Return the expert of every token-expert pair: the routing the block is given, or its rows that are not zero.

    A block that is given no routing is given every token once per expert, with zeros where the token was not sent.
    """
    for tensor in tensors:
        if tensor.dtype in INTEGERS:
            chosen = tensor.reshape(-1)
            return chosen[(chosen >= 0) & (chosen < segment.experts)].long()
    stacked = tensors[0].reshape(segment.experts, -1, tensors[0].shape[-1])
    sent = (stacked != 0).any(dim=-1).sum(dim=1)
    return torch.repeat_interleave(torch.arange(segment.experts, device=sent.device), sent)
