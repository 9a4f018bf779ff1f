"""Per-document statistics for detectors: checked, and read in blocks of neurons.

Legend: `D` documents of all languages, `M` neurons of the model, `B` neurons of one block.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nharness.errors import UsageError
from nharness.statistics import Statistics
from nharness_detectors.selection import blocks

BLOCK_VALUES = 400_000  # few enough for the cache


def document_counts(recorded: Statistics, statistic: str, tensor: str, *, least: int, detector: str) -> list[int]:
    """Return each language's number of recorded documents; raises `UsageError` for one with fewer than `least`."""
    counts = [int(recorded.get(statistic, tensor, tag).shape[0]) for tag in recorded.languages]
    for tag, count in zip(recorded.languages, counts, strict=True):
        if count < least:
            raise UsageError(f"detector {detector} needs at least {least} documents per language; {tag!r} has {count}")
    return counts


def neuron_blocks(recorded: Statistics, statistic: str, tensor: str) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield blocks of neurons and their values in every document, [B, D], documents language after language."""
    rows = [recorded.get(statistic, tensor, tag) for tag in recorded.languages]
    documents = sum(row.shape[0] for row in rows)
    for block in blocks(recorded.size, max(1, BLOCK_VALUES // max(1, documents))):
        together = np.concatenate([row[:, block] for row in rows])
        yield block, np.ascontiguousarray(together.T, dtype=np.float32)
