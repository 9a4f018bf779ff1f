"""When two numbers of a record agree: they were rounded to the precision that the record names."""

from __future__ import annotations

from nharness.record.model import Record


def close(a: float, b: float, record: Record, *, scale: float = 0.0) -> bool:
    """Tell whether a and b agree to the record's significant digits, less two for sums of rounded numbers.

    scale: size of the numbers that a was computed from, where that is larger than a itself (a difference of two).
    """
    digits = max(1, min(record.analysis.precision, 14) - 2)
    return abs(a - b) <= max(abs(a), abs(b), scale) * 10.0**-digits + 1e-300
