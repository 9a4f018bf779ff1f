"""Which token and which expert each row of a tensor belongs to.

Shapes: `S` rows (token-expert pairs), `E` experts, `n` rows per expert, `D` model width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from nharness.models.flow import Mark, Weight
from nharness.models.operations import Call


def expert_of_rows(mark: Mark, weight: Weight, values: Tensor, unit_dim: int, offsets: Tensor | None) -> Mark:
    """Return the mark of `values` with the expert that each of its rows meets in `weight`.

    `offsets` [E] are the ends of the groups of rows when each group meets its own matrix.
    """
    if offsets is not None:
        ends = torch.cat([offsets.new_zeros(1), offsets]).long()
        experts = torch.repeat_interleave(torch.arange(len(offsets), device=offsets.device), ends.diff())
        return replace(mark, experts=experts)
    if weight.experts is not None:
        rows = values.numel() // max(values.shape[unit_dim], 1)
        return replace(mark, experts=weight.experts.to(values.device).long().reshape(-1).expand(rows))
    if weight.ndim == 3 and weight.exact and values.ndim == 3 and mark.experts is None:
        stacked, experts = _stacked_rows(values)
        return replace(mark, rows=stacked, experts=experts)
    return mark


def _stacked_rows(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows and experts of [E, n, D]: every expert sees every token; a row of zeros was not sent to it."""
    experts, n = values.shape[0], values.shape[1]
    rows = torch.arange(n, device=values.device).repeat(experts)
    sent = (values.detach() != 0).any(dim=-1).reshape(-1)
    return torch.where(sent, rows, -1), torch.arange(experts, device=values.device).repeat_interleave(n)


def repeated_rows(call: Call, result: Tensor) -> Tensor | None:
    """Return the rows of a tensor repeated in place (a b -> a a b b) or as a whole (a b -> a b a b)."""
    rows = torch.arange(call.tensors[0].shape[0], device=result.device)
    if call.name == "repeat_interleave":
        times = call.args[1] if len(call.args) > 1 else call.kwargs.get("repeats")
        rows = rows.repeat_interleave(times) if times is not None else rows
    else:
        rows = rows.repeat(result.shape[0] // max(len(rows), 1))
    return rows if len(rows) == result.shape[0] else None


def splits_rows(call: Call) -> bool:
    """True when a matrix of activations is cut into groups of rows."""
    tensor = call.tensors[0]
    dim = call.args[2] if len(call.args) > 2 else call.kwargs.get("dim", 0)
    cut = call.name in {"split", "split_with_sizes"} and dim == 0
    return cut and tensor.ndim == 2 and tensor.is_floating_point()


def cut_rows(mark: Mark, tensor: Tensor, sizes: Sequence[int]) -> Iterator[Mark]:
    """Yield the marks of groups of rows of a matrix; all have the root of the whole."""
    rows = torch.arange(len(tensor), device=tensor.device) if mark.rows is None else mark.rows
    start = 0
    for size in sizes:
        inside = slice(start, start + size)
        experts = None if mark.experts is None else mark.experts[inside]
        yield Mark(mark.root, mark.flow, None, rows[inside], experts, mark.source)
        start += size
