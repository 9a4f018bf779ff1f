"""Numbers as a record keeps them: a fixed number of significant digits, and null for what could not be computed."""

from __future__ import annotations

import math


def rounded(value: float | None, digits: int) -> float | None:
    """Return the number at `digits` significant decimal digits; None for None, NaN and infinity."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{digits}g}")


def known(value: float, digits: int) -> float:
    """Return a finite number at `digits` significant decimal digits; NaN and infinity raise ValueError."""
    if not math.isfinite(value):
        raise ValueError(f"{value}; expected a finite number")
    return float(f"{value:.{digits}g}")


def interval(low: float, high: float, digits: int) -> tuple[float, float] | None:
    """Return both ends rounded, or None when either is unknown."""
    ends = rounded(low, digits), rounded(high, digits)
    return None if ends[0] is None or ends[1] is None else (ends[0], ends[1])
