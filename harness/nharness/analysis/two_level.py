"""Intervals over two sources of chance: the text a number was measured on, and the text its neurons were found in.

Legend: `B` resamples, `R` repeats of the detection, `s` statistics.

A statistic `value` of a detection is measured on clusters of text; the detection itself was repeated R times on other
text, on disjoint folds of it or on resampled documents, and every repeat's statistic measured on the same clusters.

1. Crossed resamples (Owen 2007, The pigeonhole bootstrap): clusters and repeats are drawn with replacement, each by
   itself. Resample b deviates by `d_b = (value(w_b) - value) + g (mean of the drawn repeats(w_b) - mean of all
   repeats(w_b))`. g = sqrt(R / (R - 1)), since R draws from R values vary by (R - 1) / R of what the values do. A
   fold holds an R-th of the text, so that the mean over folds varies as the whole detection does; a resampled
   detection varies as much as it does alone, and g is sqrt(R) times larger.
2. `se^2` is the variance of d. Few repeats tell little of their scatter: the quantile is Student's with Satterthwaite's
   degrees of freedom, `(V_c + V_r)^2 / (V_c^2 / (C - 1) + V_r^2 / (R - 1))`, V_c and V_r the variances of both parts.

Simulated designs are covered in 93-97 % (tests/harness/analysis/test_two_level.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from nharness.errors import UsageError

Floats = NDArray[np.float64]
NORMAL_DRAWS = 4000
Design = Literal["folds", "resampled"]


@dataclass(frozen=True)
class Scatter:
    """How statistics vary: what every resample of clusters and of repeats adds to them, [B, s] each.

    clusters, repeats: how many were drawn from; without repeats `detection` is 0.
    """

    text: Floats
    detection: Floats
    clusters: int
    repeats: int

    @property
    def standard_error(self) -> Floats:
        """Standard error of every statistic [s]."""
        return np.asarray((self.text + self.detection).std(axis=0), dtype=np.float64)

    @property
    def freedom(self) -> Floats:
        """Degrees of freedom of every statistic [s]."""
        text, detection = self.text.var(axis=0), self.detection.var(axis=0)
        parts = text**2 / max(self.clusters - 1, 1) + detection**2 / max(self.repeats - 1, 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = (text + detection) ** 2 / parts
        return np.where(np.isfinite(found), found, float(max(self.clusters - 1, 1)))

    def half_width(self, level: float = 0.95) -> Floats:
        """Return half the width of every interval [s]."""
        return np.asarray(stats.t.ppf((1 + level) / 2, self.freedom) * self.standard_error, dtype=np.float64)

    def contrasts(self, matrix: Floats) -> Scatter:
        """Return the scatter of combinations [s, c] of the statistics."""
        return Scatter(self.text @ matrix, self.detection @ matrix, self.clusters, self.repeats)


def scatter(
    value: Floats,
    drawn: Floats,
    repeats: Floats | None = None,
    *,
    clusters: int,
    design: Design = "folds",
    seed: int = 0,
) -> Scatter:
    """Return the scatter of statistics [s] from their values under resampled clusters.

    value: [s]. drawn: [B, s] of the detection. repeats: [R, B, s] of its repeats under the same resamples of
    clusters, None without any; then the text of the detection is not in the interval. Raises `UsageError` for a
    single repeat.
    """
    text = (drawn - value) * np.sqrt(clusters / max(clusters - 1, 1))
    if repeats is None:
        return Scatter(text, np.zeros_like(text), clusters, 0)
    count = len(repeats)
    if count < 2:
        raise UsageError(f"a detection's scatter needs at least 2 repeats; got {count}")
    grow = np.sqrt(count / (count - 1)) * (np.sqrt(count) if design == "resampled" else 1.0)
    chosen = repeat_resamples(count, drawn.shape[0], seed)
    detection = grow * (np.einsum("br,rbs->bs", chosen, repeats) - repeats.mean(axis=0))
    return Scatter(text, detection, clusters, count)


def repeat_resamples(repeats: int, resamples: int, seed: int) -> Floats:
    """Return the share of every repeat in every resample [B, R], a pure function of its arguments."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 1 << 20]))
    return rng.multinomial(repeats, np.full(repeats, 1 / repeats), size=resamples) / repeats


@dataclass(frozen=True)
class Differences:
    """Differences of every two of several values, first minus second, with half widths that hold for all pairs at once.

    pairs: places of both [P]. value, half: [P]. count: of the values.
    """

    pairs: Sequence[tuple[int, int]]
    value: Floats
    half: Floats
    count: int

    def ranks(self) -> list[tuple[int, int]]:
        """Return between which ranks each value lies, 1 the highest, all at once.

        A value ranks behind those that are surely higher and before those that are surely lower.
        """
        higher = np.zeros((self.count, self.count), dtype=np.int64)
        for at, (first, second) in enumerate(self.pairs):
            higher[first, second] = self.value[at] > self.half[at]
            higher[second, first] = -self.value[at] > self.half[at]
        above, below = higher.sum(axis=0), higher.sum(axis=1)
        return [(1 + int(above[i]), self.count - int(below[i])) for i in range(self.count)]


def differences_from_draws(values: Sequence[float], found: Scatter, level: float = 0.95) -> Differences:
    """Return the differences of several values [s] that were drawn together.

    The resamples tell how differences vary and hang together. The quantile is that of the largest `|z_i - z_j| /
    sd_ij` of normal values with that covariance: the resamples themselves are too few different ones where there are
    few repeats. Every pair takes Student's quantile of the same tail, with the degrees of freedom of its own
    difference; what the detection adds to its variance is at least what it adds on average, since among so many pairs
    some seem not to vary by chance.
    """
    count = len(values)
    pairs = list(combinations(range(count), 2))
    if not pairs:
        return Differences(pairs, np.zeros(0), np.zeros(0), count)
    first, second = (np.array([pair[side] for pair in pairs]) for side in (0, 1))
    matrix = np.eye(count)[:, first] - np.eye(count)[:, second]
    apart = found.contrasts(matrix)
    detection = apart.detection.var(axis=0)
    missing = np.maximum(detection.mean() - detection, 0.0)
    spread = np.sqrt(apart.standard_error**2 + missing)
    normal = _largest(found.text + found.detection, matrix, level)
    quantile = stats.t.isf(stats.norm.sf(normal), apart.freedom)
    return Differences(pairs, np.asarray(values, dtype=np.float64) @ matrix, quantile * spread, count)


def ranks_from_draws(values: Sequence[float], found: Scatter, level: float = 0.95) -> list[tuple[int, int]]:
    """Return between which ranks each of several values [s] lies, 1 the highest, all at once."""
    return differences_from_draws(values, found, level).ranks()


def _largest(deviations: Floats, matrix: Floats, level: float) -> float:
    """Return the quantile of the largest |z| of contrasts of normal values that vary as the deviations do."""
    root = np.linalg.cholesky(np.cov(deviations.T) + 1e-12 * np.eye(len(matrix)) * max(1e-12, deviations.var()))
    normal = np.random.default_rng(0).standard_normal((NORMAL_DRAWS, len(matrix))) @ root.T @ matrix
    spread = normal.std(axis=0)
    z = np.abs(normal) / np.where(spread > 0, spread, 1.0)
    return float(np.quantile(z.max(axis=1), level))
