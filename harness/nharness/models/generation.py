"""Know, while a model runs, whether its tokens come after the prompt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

CACHES = ("past_key_values", "cache_params", "state", "past")


@dataclass
class Phase:
    """Whether the forward pass that is running continues a prompt: one token, and a cache that holds some."""

    generating: bool = False

    def begin(self, *, generating: bool) -> None:
        """Say what the forward pass that begins is."""
        self.generating = generating


@contextmanager
def watch_phase(model: nn.Module) -> Iterator[Phase]:
    """Yield the phase of `model`, kept up to date on every call."""
    phase = Phase()

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        tokens = args[0] if args and isinstance(args[0], Tensor) else kwargs.get("input_ids")
        tokens = kwargs.get("inputs_embeds") if tokens is None else tokens
        one = isinstance(tokens, Tensor) and tokens.ndim >= 2 and tokens.shape[1] == 1
        phase.begin(generating=one and any(_filled(kwargs.get(name)) for name in CACHES))

    handle = model.register_forward_pre_hook(before, with_kwargs=True)
    try:
        yield phase
    finally:
        handle.remove()


def _filled(cache: Any) -> bool:
    """True for a cache that has read tokens; a kind that does not say how many has read some once it is passed on."""
    if cache is None:
        return False
    length = getattr(cache, "get_seq_length", None)
    return bool(length() > 0) if callable(length) else True
