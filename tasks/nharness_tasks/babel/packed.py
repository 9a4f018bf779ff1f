"""A network's weights in a quarter of the space: quantised row by row, then compressed.

Every row of a matrix is divided by its root mean square over `LEVELS` and rounded to whole numbers; vectors stay as
they are. Given a base, the difference to it is rounded, which is much finer. The rounded weights are the model: card
and fingerprint are theirs.
"""

from __future__ import annotations

import lzma
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load, save

from nharness.atomic import write_bytes

LEVELS = 3.0
"""Steps per root mean square of a row: the error is a tenth of it."""
LARGEST = 127
_STEP = ".step"

Weights = Mapping[str, torch.Tensor]


def pack(weights: Weights, base: Weights | None) -> bytes:
    """The file's content for these weights, or for their difference to `base`."""
    tensors: dict[str, torch.Tensor] = {}
    for name, weight in weights.items():
        change = weight.float() - base[name].float() if base else weight.float()
        if change.dim() < 2:
            tensors[name] = change
            continue
        step = (change.square().mean(1, keepdim=True).sqrt() / LEVELS).clamp_min(torch.finfo(torch.float32).tiny)
        tensors[name] = (change / step).round().clamp(-LARGEST, LARGEST).to(torch.int8)
        tensors[name + _STEP] = step
    return lzma.compress(save(tensors))


def unpack(content: bytes, base: Weights | None) -> dict[str, torch.Tensor]:
    """The weights in bfloat16 that `content` and `base` stand for."""
    tensors = load(lzma.decompress(content))
    found = {}
    for name, change in tensors.items():
        if not name.endswith(_STEP):
            whole = change.float() * tensors[name + _STEP] if change.dtype is torch.int8 else change
            found[name] = (whole + base[name].float() if base else whole).bfloat16()
    return found


def write(file: Path, weights: Weights, base: Weights | None) -> None:
    """Put the packed weights at `file`, at once."""
    write_bytes(file, pack(weights, base))
