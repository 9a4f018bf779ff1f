"""Where in the depth of a model a set of neurons lies.

Legend: `L` layers, `M` neurons of the model, `G` languages.

*Concentration* of a set at an end of the depth is the share of its neurons in the first, or last, fifth of the layers
(`round(L / 5)` of them, one at least), beside the share of all neurons there. Whether it is more than chance is asked
of the same layer counts in another order: p is the share of all ways to choose as many layers whose excess (share of
the set less share of all neurons) is at least as large, enumerated where there are at most 20 000 ways, else
(1 + as large) / (1 + draws) over seeded draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

FEWEST_LAYERS = 3
MOST_WAYS = 20_000
DRAWS = 9_999
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Concentration:
    """Share of a set's neurons that lie in some layers, of all neurons there, and p of no more than chance, 0 to 1."""

    share: float
    expected: float
    p: float


@dataclass(frozen=True)
class Ends:
    """Concentration in the first fifth of the depth, in the last, and in both together."""

    first: Concentration
    last: Concentration
    both: Concentration


def per_layer(marked: NDArray[np.bool_], layer_widths: Sequence[int]) -> Counts:
    """Return how many of the marked neurons [..., M] each layer has [..., L]."""
    starts = np.cumsum([0, *layer_widths[:-1]])
    return np.add.reduceat(marked.astype(np.int64), starts, axis=-1)


def fifth(layers: int) -> int:
    """Return how many layers are a fifth of the depth."""
    return max(1, round(layers / 5))


def end_layers(layers: int) -> dict[str, NDArray[np.int64]]:
    """Return the layers of the first fifth, of the last, and of both."""
    order, size = np.arange(layers), fifth(layers)
    return {"first": order[:size], "last": order[-size:], "both": np.concatenate([order[:size], order[-size:]])}


def shares_at_ends(counts: Counts) -> dict[str, float]:
    """Return the shares of a set with the given neurons in each layer [L] at both ends, by the names of measures.

    Nothing for fewer than three layers, and for an empty set.
    """
    if len(counts) < FEWEST_LAYERS or not counts.sum():
        return {}
    ends = end_layers(len(counts))
    names = {"first": "first", "last": "last", "both": "both-ends"}
    return {name: float(counts[ends[end]].sum() / counts.sum()) for end, name in names.items()}


def concentration(counts: Counts, layer_widths: Sequence[int], *, seed: int) -> Ends | None:
    """Return how far a set with so many neurons in each layer [L] lies at the ends of the depth.

    None for a model of fewer than three layers, and for an empty set.
    """
    if len(layer_widths) < FEWEST_LAYERS or not counts.sum():
        return None
    excess = counts / counts.sum() - np.asarray(layer_widths) / sum(layer_widths)
    found = {}
    for name, chosen in end_layers(len(layer_widths)).items():
        found[name] = Concentration(
            share=float(counts[chosen].sum() / counts.sum()),
            expected=sum(layer_widths[layer] for layer in chosen) / sum(layer_widths),
            p=_chance(excess, chosen, seed),
        )
    return Ends(**found)


def _chance(excess: NDArray[np.float64], chosen: NDArray[np.int64], seed: int) -> float:
    """Return the share of choices of as many layers whose excess [L] is at least that of the chosen ones."""
    layers, size = len(excess), len(chosen)
    bar = float(excess[chosen].sum()) - 1e-12
    if math.comb(layers, size) <= MOST_WAYS:
        ways = np.array(list(combinations(range(layers), size)))
        return float((excess[ways].sum(axis=1) >= bar).mean())
    drawn = np.random.default_rng(seed).permuted(np.tile(excess, (DRAWS, 1)), axis=1)[:, :size]
    return float((1 + (drawn.sum(axis=1) >= bar).sum()) / (1 + DRAWS))
