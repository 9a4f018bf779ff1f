"""Tests and flags of single cells: McNemar, Benjamini-Hochberg, rank p, detectable effects, room to move.

Legend: `n` items, `R` control draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from nharness.errors import UsageError

Floats = NDArray[np.float64]


def mcnemar(before: ArrayLike, after: ArrayLike) -> float:
    """Return the exact two-sided McNemar p of paired right-or-wrong items [n], 1 when no item turned.

    With b items lost and c won, p is the binomial test of b among b + c at 1/2. It takes items as independent: where
    several share a cluster, the bootstrap is the test to read.
    Raises `UsageError` for unequal lengths or values other than 0 and 1.
    """
    first, second = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise UsageError(f"McNemar compares paired items; got {first.shape} and {second.shape}")
    if not right_or_wrong(first) or not right_or_wrong(second):
        raise UsageError("McNemar compares items that are 0 or 1")
    lost, won = int(((first == 1) & (second == 0)).sum()), int(((first == 0) & (second == 1)).sum())
    return float(stats.binomtest(lost, lost + won, 0.5).pvalue) if lost + won else 1.0


def right_or_wrong(values: ArrayLike) -> bool:
    """Return whether every value is 0 or 1."""
    return bool(np.isin(np.asarray(values), (0, 1)).all())


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """Return q values of any shape; NaN (a failed cell) stays NaN and does not count among the tests."""
    values = np.asarray(p, dtype=np.float64)
    q = np.full(values.shape, np.nan)
    known = ~np.isnan(values)
    if known.any():
        q[known] = stats.false_discovery_control(values[known], method="bh")
    return q


def empirical_p(harm: float, controls: ArrayLike) -> float:
    """Return (1 + #{control harm >= harm}) / (1 + R), the rank p against R control draws; 1 without any.

    It is exact whatever the distribution, and with R draws never below 1 / (1 + R); `control_test` gives the p that a
    whole matrix can be corrected with.
    """
    drawn = _known(controls)
    return float((1 + (drawn >= harm).sum()) / (1 + drawn.size))


def control_deviations(effect: float, controls: ArrayLike) -> float | None:
    """Return (effect - mean) / sample sd of the draws; None below two draws or when they do not differ."""
    drawn = _known(controls)
    spread = float(drawn.std(ddof=1)) if drawn.size > 1 else 0.0
    return float((effect - drawn.mean()) / spread) if spread > 0 else None


def detectable_effect(standard_error: float, clusters: int, *, level: float = 0.05, power: float = 0.8) -> float | None:
    """Return the smallest true change that a two-sided test at `level` finds with `power`.

    It is (t_{1-level/2} + t_power) se, in the standard error's unit; t quantiles have clusters - 1 degrees of freedom.
    None below two clusters.
    """
    if clusters < 2 or not np.isfinite(standard_error):
        return None
    quantiles = np.asarray(stats.t.ppf([1 - level / 2, power], clusters - 1))
    return float(quantiles.sum() * standard_error)


@dataclass(frozen=True)
class Headroom:
    """Where a metric ends: `floor` and `ceiling` of its values, `chance` for guessing; None where there is none."""

    floor: float | None = 0.0
    ceiling: float | None = 1.0
    chance: float | None = None
    higher_is_better: bool = True


def room_flags(baseline: float, detectable: float | None, room: Headroom) -> tuple[str, ...]:
    """Return which ends are nearer to the baseline than a change that could be detected.

    A cell that starts within `detectable` of chance cannot be seen to get worse, whatever was deactivated; one within
    `detectable` of the ceiling (or the floor, where lower is better) cannot be seen to get better.
    """
    if detectable is None:
        return ()
    flags: list[str] = []
    if room.chance is not None:
        above = baseline - room.chance if room.higher_is_better else room.chance - baseline
        flags += ["near_chance"] if above < detectable else []
    if room.higher_is_better and room.ceiling is not None and room.ceiling - baseline < detectable:
        flags.append("near_ceiling")
    if room.floor is not None and baseline - room.floor < detectable:
        flags.append("near_floor")
    return tuple(flags)


def _known(values: ArrayLike) -> Floats:
    drawn = np.asarray(values, dtype=np.float64).ravel()
    return drawn[~np.isnan(drawn)]
