"""Nats and bits: models give nats, records bits per UTF-8 byte."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Amount = TypeVar("Amount", float, "NDArray[np.float64]")

BITS_PER_BYTE = "bits_per_byte"
"""The metric of perplexity tasks: negative log-likelihood in bits over UTF-8 bytes of text."""


def bits(nats: Amount) -> Amount:
    """Return an amount of information in bits."""
    return nats / math.log(2)


def nats(bits: Amount) -> Amount:
    """Return an amount of information in nats."""
    return bits * math.log(2)
