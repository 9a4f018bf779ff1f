"""Noise that hangs on the text alone: the same token of the same text is given the same noise, whatever runs beside it.

Legend: `B` rows of a forward pass, `T` its length, `S` rows of a site, `k` units.

1. Before every forward pass the token ids [B, T] are read, with their places in the text (padding has none; a cache
   goes on from where it ends). The key of a token is a sum modulo 2^64 over the tokens of its row up to it,
   `mix(id) * ODD ** place`.
2. A unit's noise at a token is normal(mix(key, seed, layer, site, unit)): two uniform numbers of 53 bits made normal by
   Box and Muller. `mix` is the finaliser of splitmix64 (Steele, Lea & Flood, OOPSLA 2014).

No generator has a state, so neither batches, nor padding, nor the order of experts change what is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import torch
from torch import Tensor, nn

from nharness.errors import ModelError
from nharness.models.generation import CACHES

ODD = 0x5851F42D4C957F2D  # a multiplier of full period modulo 2^64 (Knuth)
GOLDEN = -0x61C8864680B583EB  # 2^64 over the golden ratio, as a signed number
FINAL = (-0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15)  # splitmix64's multipliers, signed


@dataclass
class Noise:
    """The keys of the tokens of the pass that is running, int64 [B * T]."""

    keys: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))

    def begin(self, ids: Tensor, kwargs: dict[str, Any]) -> None:
        """Read the tokens int64 [B, T] of the pass that begins, and what else the model is given with them."""
        places, real = _places(ids, kwargs)
        self.keys = _keys(ids, places, real).reshape(-1)

    def at(self, rows: Tensor, units: Tensor, salt: tuple[int, int, str]) -> Tensor:
        """Return standard normal noise, float32 [S, k], of tokens `rows` int64 [S] and `units` int64 [k].

        salt: seed, layer and site.
        """
        seed, layer, site = salt
        start = _mix(torch.tensor(_signed(seed * 0x9E3779B97F4A7C15 + layer * ODD + crc32(site.encode()))))
        own = _mix(units.cpu() * GOLDEN + start).to(rows.device)
        both = _mix(self.keys.to(rows.device)[rows][:, None] + own)
        first, second = _uniform(both), _uniform(_mix(both + GOLDEN))
        return ((-2 * (1 - first).log()).sqrt() * (2 * math.pi * second).cos()).float()


@contextmanager
def watch_text(model: nn.Module) -> Iterator[Noise]:
    """Yield the noise of `model`, its keys kept up to date; a call without token ids raises ModelError."""
    noise = Noise()

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        ids = args[0] if args else kwargs.get("input_ids")
        if not isinstance(ids, Tensor) or ids.is_floating_point():
            raise ModelError("noise is seeded by token ids, and the model was given none; expected input_ids")
        noise.begin(ids, kwargs)

    handle = getattr(model, "base_model", model).register_forward_pre_hook(before, with_kwargs=True)
    try:
        yield noise
    finally:
        handle.remove()


def _places(ids: Tensor, kwargs: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Return the place in its text of every token int64 [B, T], and which are no padding bool [B, T]."""
    mask, given = kwargs.get("attention_mask"), kwargs.get("position_ids")
    length = ids.shape[1]
    if isinstance(mask, Tensor) and mask.ndim == 2:
        seen = mask.long().cumsum(1)[:, -length:]
        return seen - 1, mask[:, -length:] != 0
    if isinstance(given, Tensor) and given.ndim == 2:
        return given.expand(ids.shape), torch.ones_like(ids, dtype=torch.bool)
    cache = next((kwargs[name] for name in CACHES if kwargs.get(name) is not None), None)
    counted = getattr(cache, "get_seq_length", None)
    start = int(counted()) if callable(counted) else 0
    return start + torch.arange(length, device=ids.device).expand(ids.shape), torch.ones_like(ids, dtype=torch.bool)


def _keys(ids: Tensor, places: Tensor, real: Tensor) -> Tensor:
    """Return the key of every token, int64 [B, T]."""
    most = int(places.max()) + 1 if places.numel() else 0
    powers = torch.full((max(most, 1),), ODD, dtype=torch.int64, device=ids.device).cumprod(0)
    parts = _mix(ids.long() + 1) * powers[places.clamp(min=0)]
    return torch.where(real, parts, 0).cumsum(1)


def _mix(value: Tensor) -> Tensor:
    """Return 64 well-mixed bits for every 64 bits."""
    for shift, factor in ((30, FINAL[0]), (27, FINAL[1])):
        value = (value ^ _right(value, shift)) * factor
    return value ^ _right(value, 31)


def _right(value: Tensor, bits: int) -> Tensor:
    """Shift to the right, zeros coming in from the left."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)


def _uniform(value: Tensor) -> Tensor:
    """Return float64 in [0, 1) of the upper 53 bits."""
    return _right(value, 11).double() / (1 << 53)


def _signed(value: int) -> int:
    """Return the 64 low bits as a signed number."""
    low = value & ((1 << 64) - 1)
    return low - (1 << 64) if low >> 63 else low
