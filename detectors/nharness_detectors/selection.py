"""How neurons are chosen: bars, entropies, and the best share of all neurons; written once for every detector.

Legend: `G` languages, `M` neurons of the model, `B` neurons of one block.
Nothing here depends on the order of the languages: terms are added in ascending order, so that permuting the rows of
the input permutes the result and changes no bit of it. Ties at a cut go to the neuron that comes first in (layer, unit)
order. Work is done in blocks of neurons, so that no second [G, M] array of floats is needed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

BLOCK = 16_384


def blocks(size: int, width: int = BLOCK) -> Iterator[slice]:
    """Yield slices that cover 0..size, each at most `width` long."""
    for start in range(0, size, width):
        yield slice(start, min(start + width, size))


def share_count(rate: float, size: int) -> int:
    """Return `round(rate * size)` by Python's rounding (halves to even), as the papers' code counts; may be 0."""
    return round(rate * size)


def activation_bar(probability: NDArray[np.float64], share: float) -> float:
    """Return the `round(share * p.size)`-th smallest (1-based, at least the first) of all values of p [G, M]."""
    rank = max(1, share_count(share, probability.size)) - 1
    return float(np.partition(probability, rank, axis=None)[rank])


def entropy(weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return H(q) = -sum_k q_k ln q_k in nats, [M], of q = weight / sum over languages; weight [G, M] is not negative.

    0 ln 0 = 0; a neuron whose weights are all zero has q = 0 and entropy 0.
    """
    result = np.empty(weight.shape[1])
    for block in blocks(weight.shape[1]):
        ordered = np.sort(weight[:, block], axis=0)  # [G, B]
        total = ordered.sum(axis=0)
        np.divide(ordered, total, out=ordered, where=total > 0)
        logarithm = np.log(ordered, out=np.zeros_like(ordered), where=ordered > 0)
        result[block] = -(ordered * logarithm).sum(axis=0)
    return result + 0.0  # no minus zero


def lowest(score: NDArray[np.floating], count: int) -> NDArray[np.bool_]:
    """Mark the `count` smallest scores, bool [M]; ties go to the first in flat order, NaN and inf to none."""
    finite = np.isfinite(score)
    count = min(count, int(finite.sum()))
    if count <= 0:
        return np.zeros(score.shape, dtype=bool)
    comparable = np.where(finite, score, np.inf)
    cut = np.partition(comparable, count - 1)[count - 1]
    chosen: NDArray[np.bool_] = comparable < cut
    ties = np.flatnonzero(comparable == cut)
    chosen[ties[: count - int(chosen.sum())]] = True
    return chosen


def highest(score: NDArray[np.floating], count: int) -> NDArray[np.bool_]:
    """Mark the `count` largest scores, bool [M]; ties go to the first in flat order, NaN and inf to none."""
    return lowest(-score, count)
