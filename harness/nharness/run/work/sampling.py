"""A sample of documents that is small and still like the whole: evenly spread over sources and lengths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def spread_sample(counts: Sequence[int], strata: Sequence[str], tokens: int) -> list[int]:
    """Return ascending places of documents that hold at least `tokens` tokens together, all places if there are fewer.

    counts: tokens per document. strata: what each document belongs to. Documents are put in order of stratum and length
    and taken at equal steps of the cumulated count, so that every stratum and length has its share. Deterministic.
    """
    total = sum(counts)
    if total <= tokens:
        return list(range(len(counts)))
    order = sorted(range(len(counts)), key=lambda place: (strata[place], counts[place], place))
    ends = np.cumsum([counts[place] for place in order])
    for taken in range(max(1, tokens * len(counts) // total), len(counts) + 1):
        marks = (np.arange(taken) + 0.5) * total / taken
        chosen = sorted({order[int(place)] for place in np.searchsorted(ends, marks)})
        if sum(counts[place] for place in chosen) >= tokens:
            return chosen
    return list(range(len(counts)))
