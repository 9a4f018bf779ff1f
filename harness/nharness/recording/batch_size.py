"""How many tokens one forward pass takes: a measured constant on a CPU, found by trying on an accelerator."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from nharness.corpora import CPU_TOKENS
from nharness.recording.trunk import Forward

T = TypeVar("T")
GRADIENT_TOKENS = 512
FIRST_TRY = 2048
MOST = 1 << 17
GAIN = 1.03


def batch_tokens_for(device: torch.device, forward: Forward, *, length: int, gradient: bool) -> int:
    """Return the tokens per forward pass for a device; on an accelerator by `largest_that_pays`."""
    if gradient:
        return GRADIENT_TOKENS
    if device.type == "cpu":
        return CPU_TOKENS

    def attempt(tokens: int) -> float:
        return _seconds(forward, torch.zeros(max(1, tokens // length), length, dtype=torch.int64, device=device))

    return largest_that_pays(attempt, start=max(FIRST_TRY, length), most=MOST)


def largest_that_pays(seconds_of: Callable[[int], float], *, start: int, most: int) -> int:
    """Double from `start` while tokens get at least 3 % cheaper; stop before memory runs out, and at `most`."""
    best, rate = start, 0.0
    tokens = start
    while tokens <= most:
        seconds = _unless_full(seconds_of, tokens)
        if seconds is None:
            release_memory()
            return best if rate else max(1, tokens // 2)
        if tokens / seconds < rate * GAIN:
            return best
        best, rate, tokens = tokens, tokens / seconds, tokens * 2
    return best


def _unless_full(seconds_of: Callable[[int], float], tokens: int) -> float | None:
    """Return the seconds, or None when memory ran out; by then the error no longer holds what its frames computed."""
    try:
        return seconds_of(tokens)
    except torch.OutOfMemoryError:
        return None


def until_it_fits(attempt: Callable[[], T], halve: Callable[[], bool]) -> T:
    """Return what `attempt` gives; whenever memory runs out `halve` makes the batch smaller, and it is begun again.

    Raises `torch.OutOfMemoryError` once `halve` returns False: the batch cannot be any smaller.
    """
    while True:
        try:
            return attempt()
        except torch.OutOfMemoryError:
            if not halve():
                raise
        release_memory()


def release_memory() -> None:
    """Give cached accelerator memory back after it ran out; to be called when the error is no longer being handled."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@torch.inference_mode()
def _seconds(forward: Forward, tokens: Tensor) -> float:
    forward(tokens)
    torch.accelerator.synchronize(tokens.device)
    start = time.perf_counter()
    forward(tokens)
    torch.accelerator.synchronize(tokens.device)
    return time.perf_counter() - start
