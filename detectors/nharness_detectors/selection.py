"""How neurons are chosen, for every detector: bars, entropies, contrasts, the best share of all neurons.

Legend: `G` languages, `M` neurons of the model, `B` neurons of one block. Results do not depend on the order of the
languages, to the bit: terms are added in ascending order. Ties at a cut go to the neuron that comes first in (layer,
unit) order. Work is done in blocks of neurons, to hold few [G, M] arrays of floats.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

BLOCK = 16_384


def blocks(size: int, width: int = BLOCK) -> Iterator[slice]:
    """Yield slices that cover 0..size, each of at most `width`."""
    for start in range(0, size, width):
        yield slice(start, min(start + width, size))


def share_count(rate: float, size: int) -> int:
    """Return `round(rate * size)` by Python's rounding (halves to even), as the papers' code counts; may be 0."""
    return round(rate * size)


def ordered_sum(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum over languages [B] of rows [G, B], the terms added in ascending order."""
    return np.asarray(np.sort(rows, axis=0).sum(axis=0))


def activation_bar(probability: NDArray[np.float64], share: float) -> float:
    """Return the `round(share * p.size)`-th smallest (1-based, at least the first) of all values of p [G, M]."""
    rank = max(1, share_count(share, probability.size)) - 1
    return float(np.partition(probability, rank, axis=None)[rank])


def entropy(weight: NDArray[np.float64], *, floor: float = 0.0) -> NDArray[np.float64]:
    """Return H(q) = -sum_k q_k ln q_k in nats, [M], of q = weight / sum over languages; weight [G, M] is not negative.

    0 ln 0 = 0; a neuron whose weights are all zero has q = 0 and entropy 0. With a floor above 0, q is raised to it and
    divided by its sum again, so that an all-zero row counts as uniform.
    """
    result = np.empty(weight.shape[1])
    for block in blocks(weight.shape[1]):
        share = np.sort(weight[:, block], axis=0)  # [G, B]
        total = share.sum(axis=0)
        np.divide(share, total, out=share, where=total > 0)
        if floor > 0:
            np.maximum(share, floor, out=share)
            share /= share.sum(axis=0)
        logarithm = np.log(share, out=np.zeros_like(share), where=share > 0)
        result[block] = -(share * logarithm).sum(axis=0)
    return result + 0.0  # no minus zero


def contrast(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return, for every language, its value minus the mean of the others', [G, M]."""
    result = np.empty_like(value)
    others = value.shape[0] - 1
    for block in blocks(value.shape[1]):
        total = ordered_sum(value[:, block])
        result[:, block] = value[:, block] - (total - value[:, block]) / others
    return result


def z_scores(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (value - mean) / population standard deviation over the languages, [G, M]; 0 where all are equal."""
    result = np.zeros_like(value)
    count = value.shape[0]
    for block in blocks(value.shape[1]):
        rows = value[:, block]
        centred = rows - ordered_sum(rows) / count
        deviation = np.sqrt(ordered_sum(centred**2) / count)
        spread = rows.max(axis=0) > rows.min(axis=0)
        np.divide(centred, deviation, out=result[:, block], where=spread & (deviation > 0))
    return result


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


def highest_of_each(
    score: NDArray[np.floating], rate: float, candidates: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Mark, for every language, the `round(rate * M)` largest scores [G, M], candidates only where they are given."""
    count = share_count(rate, score.shape[1])
    chosen = np.empty(score.shape, dtype=bool)
    for row, scores in enumerate(score):
        chosen[row] = highest(scores if candidates is None else np.where(candidates[row], scores, -np.inf), count)
    return chosen


def kind_counts(kinds: NDArray[np.int8], names: tuple[str, ...], layer_widths: tuple[int, ...]) -> dict[str, list[int]]:
    """Return the number of neurons of each kind [M] in every layer, by the kind's name."""
    starts = np.cumsum([0, *layer_widths[:-1]])
    return {
        name: np.add.reduceat((kinds == index).astype(np.int64), starts).tolist() for index, name in enumerate(names)
    }
