"""Which tokens of a forward pass are text: padding is computed, and edited, and counts for nothing.

Legend: `B` rows of the forward pass, `T` its length in tokens, `S` rows of a tensor inside the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

_TEXT: ContextVar[Tensor | None] = ContextVar("text", default=None)  # bool [B, T]; None: all of it


@contextmanager
def only_text(mask: Tensor | None) -> Iterator[None]:
    """Say which tokens of the forward passes inside are text: bool [B, T], the shape of those passes."""
    before = _TEXT.set(mask)
    try:
        yield
    finally:
        _TEXT.reset(before)


def rows_of_text(rows: slice) -> Tensor | None:
    """Return what was said of some rows of the pass, for a pass of these alone."""
    mask = _TEXT.get()
    return None if mask is None else mask[rows]


def within(lengths: Tensor, size: int) -> Tensor:
    """Return the mask bool [B, size] of rows that are padded on the right; `lengths` int64 [B]."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


@contextmanager
def only_text_written(model: nn.Module, prompts: Tensor, ends: Sequence[int]) -> Iterator[None]:
    """Say the same while `model` writes: of the prompts the tokens of the mask [B, T], then all before an end mark."""
    handle = model.register_forward_pre_hook(
        _Written(prompts.bool(), torch.tensor(ends, dtype=torch.int64)), with_kwargs=True
    )
    try:
        with only_text(None):
            yield
    finally:
        handle.remove()


class _Written:
    """Hook on a model that writes: it is given all tokens so far or, with a cache, those that it has not read yet."""

    def __init__(self, prompts: Tensor, ends: Tensor) -> None:
        self._prompts, self._ends = prompts, ends
        self._ended: Tensor | None = None  # bool [B], once the prompts are read

    def __call__(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        ids: Tensor = args[0] if args else kwargs["input_ids"]
        prompts, length = self._prompts.to(ids.device), self._prompts.shape[1]
        if self._ended is None:
            self._ended = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
            _TEXT.set(prompts)
        elif ids.shape[1] > length:
            _TEXT.set(torch.cat([prompts, ~self._after_end(ids[:, length:])], 1))
        else:
            ended = self._after_end(ids) | self._ended[:, None]
            self._ended = ended[:, -1]
            _TEXT.set(~ended)

    def _after_end(self, ids: Tensor) -> Tensor:
        return torch.isin(ids, self._ends.to(ids.device)).cumsum(1) > 0


def text_among(rows: int) -> Tensor | None:
    """Return which of the `rows` of a tensor are text, bool [rows]; None for all.

    Rows are the tokens of the pass in order, or a fixed number in a row for each token. A tensor of another number of
    rows belongs to an unannounced pass.
    """
    mask = _TEXT.get()
    if mask is None or not mask.numel() or rows % mask.numel():
        return None
    flat = mask.reshape(-1)
    return flat if rows == len(flat) else flat.repeat_interleave(rows // len(flat))


def text_at(rows: Tensor) -> Tensor:
    """Return which rows stand for text, bool [S], by their token indices int64 [S], -1 for no token at all."""
    mask, stand = _TEXT.get(), rows >= 0
    if mask is None or not mask.numel():
        return stand
    return stand & mask.reshape(-1).to(rows.device)[rows.clamp(0, mask.numel() - 1)]


def how_many(rows: int) -> int | Tensor:
    """Return how many of the `rows` of a tensor are text; an accelerator is not waited for."""
    mask = text_among(rows)
    if mask is None:
        return rows
    return int(mask.sum()) if mask.device.type == "cpu" else mask.sum()
