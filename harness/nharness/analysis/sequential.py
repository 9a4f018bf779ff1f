"""Sequential paired evaluation: when a cell has seen enough items.

Legend: `k` clusters seen so far.

A cell's items come in one fixed order per language, the same for baseline and every edit, so that cells which stop at
different places stay paired on what both have seen. After each batch:

1. estimate `theta = sum(change) / sum(weight)` over the clusters seen, residuals `r_c = change_c - theta weight_c`,
   `V = k / (k-1) sum r_c^2 / sum(weight)^2`;
2. half-width `h = t_{k-1} sqrt(V (1 + (4 + 4 g^2) / k))`, g the skewness of the residuals;
3. stop when `h <= precision` and `k >= fewest` (Chow and Robbins 1965, fixed-width intervals);
4. otherwise go on to about `k (h / precision)^2` clusters, but at most half as many again.

Stopping favours batches whose variance came out too small, and skewed ones are then also off centre. The factor under
the root, looks that lie apart, and `fewest` = 30 keep `theta -+ precision` covering 93-97 %, normal or skewed
(simulated in tests/harness/analysis/test_sequential.py). Cells precise already at `fewest` stop there and cover more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from nharness.errors import OptionError, UsageError

GROWTH = 1.5


@dataclass(frozen=True)
class Precision:
    """What a cell must reach.

    half_width: of the interval, in the task's unit (bits per byte). level: its coverage. fewest: clusters that every
    cell sees first. Raises `OptionError` for values outside their range.
    """

    half_width: float = 0.01
    level: float = 0.95
    fewest: int = 30

    def __post_init__(self) -> None:
        if not self.half_width > 0:
            raise OptionError(f"precision is a half-width above 0, or none; got {self.half_width}")
        if not 0 < self.level < 1:
            raise OptionError(f"level is a share between 0 and 1; got {self.level}")
        if self.fewest < 10:
            raise OptionError(f"a cell must see at least 10 clusters before it may stop; got {self.fewest}")


@dataclass(frozen=True)
class Look:
    """Where a cell stands: `stop` or go on to `wanted` clusters (never more than are available).

    half_width: of the interval so far, in the task's unit; inf below two clusters.
    """

    stop: bool
    half_width: float
    wanted: int


def look(change: ArrayLike, weight: ArrayLike, available: int, rule: Precision) -> Look:
    """Return whether a cell may stop, from its clusters so far (change and weight per cluster, in their fixed order).

    available: clusters there are at all; a cell that has seen them stops. Raises `UsageError` for unequal lengths.
    """
    changes, weights = np.asarray(change, dtype=np.float64), np.asarray(weight, dtype=np.float64)
    if changes.shape != weights.shape or changes.ndim != 1 or changes.size > available:
        raise UsageError(f"change {changes.shape} and weight {weights.shape} of at most {available} clusters expected")
    k = changes.size
    half_width = _half_width(changes, weights, rule.level) if k > 1 else float("inf")
    if k >= available:
        return Look(stop=True, half_width=half_width, wanted=available)
    if k < rule.fewest:
        return Look(stop=False, half_width=half_width, wanted=min(rule.fewest, available))
    if half_width <= rule.half_width:
        return Look(stop=True, half_width=half_width, wanted=k)
    grown = k * min(GROWTH, max(1.05, (half_width / rule.half_width) ** 2))
    return Look(stop=False, half_width=half_width, wanted=min(available, int(np.ceil(grown))))


def evaluation_order(clusters: Sequence[str], *, seed: int = 0) -> list[int]:
    """Return places of items in the order to evaluate them: clusters shuffled by name and seed, kept whole.

    Every prefix is a simple random sample of clusters; the order depends on nothing but names and seed, so it is the
    same in every run and for every cell of a language.
    """
    ranks = {name: hashlib.sha256(f"{seed}\n{name}".encode()).digest() for name in set(clusters)}
    return sorted(range(len(clusters)), key=lambda place: (ranks[clusters[place]], clusters[place], place))


def _half_width(change: np.ndarray, weight: np.ndarray, level: float) -> float:
    k, total = change.size, weight.sum()
    if total <= 0:
        return float("inf")
    residual = change - change.sum() / total * weight
    square = float((residual**2).mean())
    if square == 0:
        return 0.0
    skewness = float((residual**3).mean()) / square**1.5
    variance = k / (k - 1) * float((residual**2).sum()) / total**2
    inflated = variance * (1 + (4 + 4 * skewness**2) / k)
    return float(stats.t.ppf((1 + level) / 2, k - 1) * np.sqrt(inflated))
