"""How text is decoded: greedily unless asked otherwise, whatever a task or a checkpoint says. No tensor library.

An lm-eval task's limits (how many tokens, where to stop) and its penalties are its definition and stay. What would
choose tokens at random goes, and is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nharness.errors import OptionError

CHANCE = frozenset(
    (
        "do_sample",
        "epsilon_cutoff",
        "eta_cutoff",
        "min_p",
        "penalty_alpha",
        "temperature",
        "top_h",
        "top_k",
        "top_p",
        "typical_p",
    )
)
"""Arguments of generation that choose tokens at random, or only count where something else does."""


@dataclass(frozen=True)
class Decoding:
    """How tokens are chosen: greedily, or at a temperature above 0 from the top share `top_p`, with a seed."""

    max_new_tokens: int = 48
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1 or self.temperature < 0 or not 0 < self.top_p <= 1:
            raise OptionError(f"decoding needs max_new_tokens >= 1, temperature >= 0 and 0 < top_p <= 1; got {self}")


def greedy(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return an lm-eval task's arguments of generation, decoded greedily."""
    return {**{name: value for name, value in asked.items() if name not in CHANCE}, "do_sample": False}


def samples(asked: Mapping[str, Any]) -> bool:
    """Tell whether arguments of generation ask for tokens chosen at random, as lm-eval reads them."""
    chosen = asked.get("do_sample")
    return bool(asked.get("temperature")) if chosen is None else bool(chosen)
