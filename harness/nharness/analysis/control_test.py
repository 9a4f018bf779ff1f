"""Is a target's effect more than that of random neurons? A p value that a whole matrix can be corrected with.

Legend: `T` targets (rows), `G` languages (columns), `R` control draws per target, NaN where a draw was not evaluated.

A rank among R = 20 draws is never below 1/21, and Benjamini-Hochberg over 64 cells can then reject nothing. So:

1. Under the null a detection is one more draw. With `n` draws of mean m and sample standard deviation s (n - 1),
   `t = (effect - m) / (s sqrt(1 + 1/n))` has Student's t with n - 1 degrees of freedom if draws are normal: the
   prediction test of one further observation. Effect and draws are measured on the *same* items, so that the noise
   of items is in effect and draws alike and needs no term of its own.
2. Draws need not be normal: a few neurons matter much more than others, and tails are heavy. Every draw is therefore
   tested against the others of its target in the same way (n - 2 degrees of freedom). Were draws normal, these p values
   would be uniform. Where they pile up near 0, the same holds for the detection's.
3. Below b = 0.05 the draws' own p values are modelled as `P(p <= x) = F (x/b)^a`: F is the share of them below b, at
   least b; 1/a is mean(ln(b / p)) over those below b, Hill's (1975) estimate h of a tail, plus its standard error,
   h / sqrt(k); k counts different draws, since one that hits a strong neuron is extreme in all languages at once. a is
   at most 1, and 1 with fewer than five of them. A cell's p below b becomes `F (p/b)^a`; above, the larger of p and
   the share of draws' p below it. Every part can only raise p. Since the tail depends on n, a cell with n draws takes
   the smaller a of all residuals and of those with at least n draws.

4. What R different draws show never goes below 1 / (R + 1), and below it stands the model of the tail alone. That model
   decides which cells stand out, as the simulated error rates allow; a reported p or q is at least `resolution`,
   R counting the different draws of all targets whose tail is pooled.

The calibration pools cells of one task, taking the *shape* (not mean or spread) of what random neurons do as one for
all of them. Two draws leave no residual to judge, and no p; with three to four the t is all but blind.
Simulated (tests/harness/analysis/test_control_test.py): see there for the share of cells and matrices under the null.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from nharness.errors import UsageError

Floats = NDArray[np.float64]
BODY = 0.05
FEWEST_IN_TAIL = 5
SMALLEST_RESIDUAL = 1e-8  # draws of a coarse metric can agree exactly but for one, whose own p would be 0
_TINY = 1e-300


@dataclass(frozen=True)
class ControlTest:
    """Per cell [T, G]: draws, their mean and sd, t, and p two-sided; NaN where it cannot be computed.

    null_rate: share of the draws' own p values below 0.05 when tested against each other by t: 0.05 when the t alone
        would do, more with heavy tails (NaN without residuals).
    resolution: 1 / (1 + different draws that were pooled); no p or q below it is more than an extrapolation.
    """

    draws: NDArray[np.int64]
    mean: Floats
    sd: Floats
    t: Floats
    p: Floats
    null_rate: float
    resolution: float

    @property
    def told(self) -> Floats:
        """The p that may be told [T, G]: no less than the draws can tell."""
        return np.maximum(self.p, self.resolution)


def control_test(effect: Floats, controls: Floats) -> ControlTest:
    """Return the test of `effect` [T, G] against `controls` [T, R, G] of the same targets, items and unit.

    A cell whose effect is NaN, or with fewer than three draws, or whose draws do not differ, has t and p NaN; p is 1
    where draws and effect are all the same number.
    Raises `UsageError` for shapes that do not fit.
    """
    if effect.ndim != 2 or controls.ndim != 3 or (controls.shape[0], controls.shape[2]) != effect.shape:
        raise UsageError(f"effects are {effect.shape}, controls {controls.shape}; expected [T, G] and [T, R, G]")
    known = ~np.isnan(controls)
    draws = known.sum(axis=1)
    filled = np.where(known, controls, 0.0)
    mean = np.where(draws > 0, filled.sum(axis=1) / np.maximum(draws, 1), np.nan)
    deviation = np.where(known, filled - mean[:, None, :], 0.0)
    squares = (deviation**2).sum(axis=1)
    sd = np.where(draws > 1, np.sqrt(squares / np.maximum(draws - 1, 1)), np.nan)
    usable = (draws >= 3) & (sd > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(usable, (effect - mean) / (sd * np.sqrt(1 + 1 / draws)), np.nan)
    raw = np.where(usable, 2 * stats.t.sf(np.abs(t), np.maximum(draws - 1, 1)), np.nan)
    residuals = _residuals(deviation, squares, known & usable[:, None, :])
    p = np.where((draws >= 3) & (sd == 0) & (effect == mean), 1.0, _calibrated(raw, draws, residuals))
    rate = float((residuals.p < BODY).mean()) if residuals.p.size else float("nan")
    return ControlTest(draws, mean, sd, t, p, rate, 1 / (1 + int(known.any(axis=2).sum())))


@dataclass(frozen=True)
class _Residuals:
    """Each draw of each cell, flat: its p against the cell's other draws, the cell's draws, which draw it is."""

    p: Floats
    sizes: NDArray[np.int64]
    source: NDArray[np.int64]

    def exponent(self, least: int) -> float:
        """Return the tail's exponent a of cells with at least that many draws."""
        tail = (self.p <= BODY) & (self.sizes >= least)
        if tail.sum() < FEWEST_IN_TAIL:
            return 1.0
        hill = float(np.log(BODY / self.p[tail]).mean())
        return min(1.0, 1.0 / (hill + hill / math.sqrt(len(np.unique(self.source[tail])))))


def _residuals(deviation: Floats, squares: Floats, known: NDArray[np.bool_]) -> _Residuals:
    """Return the residuals of `known` draws [T, R, G].

    Leaving out draw d of n: mean' = mean - d/(n-1), and the sum of squares falls by d^2 n/(n-1), d from the full mean.
    """
    n = np.broadcast_to(known.sum(axis=1)[:, None, :], known.shape)[known]
    d = deviation[known]
    total = np.broadcast_to(squares[:, None, :], known.shape)[known]
    variance = np.maximum(total - d**2 * n / (n - 1), 0.0) / (n - 2)
    gap = d * n / (n - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(gap) / np.sqrt(variance * n / (n - 1))
    p = np.asarray(2 * stats.t.sf(np.nan_to_num(t, nan=0.0), n - 2), dtype=np.float64)
    source = np.arange(known.shape[0] * known.shape[1]).reshape(*known.shape[:2], 1)
    return _Residuals(np.maximum(p, SMALLEST_RESIDUAL), n.astype(np.int64), np.broadcast_to(source, known.shape)[known])


def _calibrated(raw: Floats, draws: NDArray[np.int64], residuals: _Residuals) -> Floats:
    if not residuals.p.size:
        return raw
    p = np.full(raw.shape, np.nan)
    ordered = np.sort(residuals.p)
    share = max(float((residuals.p <= BODY).mean()), BODY)
    for n in np.unique(draws[~np.isnan(raw)]):
        cells = (draws == n) & ~np.isnan(raw)
        exponent = min(residuals.exponent(0), residuals.exponent(int(n)))
        body = np.maximum(raw[cells], np.searchsorted(ordered, raw[cells], side="right") / ordered.size)
        tail = share * (np.maximum(raw[cells], _TINY) / BODY) ** exponent
        p[cells] = np.clip(np.where(raw[cells] < BODY, tail, body), 0.0, 1.0)
    return p
