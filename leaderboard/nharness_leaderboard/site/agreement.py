"""Do detectors agree? The neurons that two of them share, of those that either finds; similar ones side by side.

Legend: `D` detectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from nharness.errors import NharnessError
from nharness.neurons import load
from nharness.record.store import find, inside
from nharness_leaderboard.deep.neurons import fits
from nharness_leaderboard.results import Entry


@dataclass(frozen=True)
class Agreement:
    """Names [D], similar ones side by side, and the Jaccard overlap of every two [D][D], a mean over languages."""

    names: tuple[str, ...]
    shared: tuple[tuple[float, ...], ...]


def agreement(entries: Sequence[Entry]) -> Agreement | None:
    """Return the overlap of every two detectors; None for fewer than three whose neurons can be read."""
    read = [(entry.record.detector.name, held) for entry in entries if (held := _held(entry)) is not None]
    if len(read) < 3:
        return None
    size = len(read)
    shared = np.eye(size)
    for i in range(size):
        for j in range(i):
            shared[i, j] = shared[j, i] = _jaccard(read[i][1], read[j][1])
    order = leaves_list(linkage(squareform(1 - shared, checks=False), "average", optimal_ordering=True))
    return Agreement(tuple(read[i][0] for i in order), tuple(tuple(float(shared[i, j]) for j in order) for i in order))


def _held(entry: Entry) -> NDArray[np.bool_] | None:
    """Return which neurons belong to which language; None if the file cannot be read."""
    file = find(entry.record.files, "neurons")
    if file is None:
        return None
    try:
        path = inside(entry.folder, file.name)
        return load(path).membership if fits(entry.record, path) else None
    except NharnessError:
        return None


def _jaccard(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the mean over languages of shared / either; languages without neurons in both are left out."""
    either = (one | other).sum(axis=1)
    known = either > 0
    return float(np.mean((one & other).sum(axis=1)[known] / either[known])) if known.any() else 0.0
