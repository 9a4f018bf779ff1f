"""How well a detection repeats on other text, and what it finds when documents lose their language.

Legend: `G` languages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from nharness.analysis.overlap import DetectionOverlap, compare_detections
from nharness.analysis.rounding import rounded
from nharness.analysis.significance import empirical_p
from nharness.errors import UsageError
from nharness.neurons import KINDS, Detection
from nharness.record.results import Stability


def stability(detections: Sequence[Detection], *, kind: str = "folds", digits: int = 12) -> Stability:
    """Return the mean agreement over all pairs of repeats, per language and over languages.

    Jaccard overlap of the selected neurons (a pair in which both have none is left out) and Spearman correlation of the
    scores. Raises `UsageError` for fewer than two repeats.
    """
    if len(detections) < 2:
        raise UsageError(f"stability compares repeats of a detection; got {len(detections)}")
    pairs = [compare_detections(first, second) for first, second in combinations(detections, 2)]
    languages = {tag: _mean([_jaccard(pair, tag) for pair in pairs], digits) for tag in detections[0].languages}
    return Stability(
        kind=kind,
        repeats=len(detections),
        jaccard=_mean(list(languages.values()), digits),
        rank_correlation=_mean([pair.mean_rank_correlation for pair in pairs], digits),
        languages=languages,
    )


@dataclass(frozen=True)
class NullCount:
    """A number of neurons, and what detections with shuffled language labels have of them.

    p: (1 + shuffles with at least as many) / (1 + shuffles).
    """

    observed: int
    shuffled: tuple[int, ...]
    mean: float
    p: float


@dataclass(frozen=True)
class LabelShuffle:
    """Counts per language and per kind against those of detections that saw documents under shuffled labels."""

    languages: Mapping[str, NullCount]
    kinds: Mapping[str, NullCount]


def label_shuffle(observed: Detection, shuffled: Sequence[Detection]) -> LabelShuffle:
    """Return how many neurons the detection has beyond those it finds when documents lose their language.

    A detector that selects a fixed share has the same total in both; the kinds then tell: without languages hardly a
    neuron is specific to one. Raises `UsageError` without a shuffle or when languages differ.
    """
    if not shuffled or any(other.languages != observed.languages for other in shuffled):
        raise UsageError("label shuffling compares a detection with repeats on the same languages; got none or others")
    counts = [_counts(found) for found in (observed, *shuffled)]
    return LabelShuffle(
        {tag: _null([count[0][tag] for count in counts]) for tag in observed.languages},
        {kind: _null([count[1][kind] for count in counts]) for kind in KINDS if kind != "unassigned"},
    )


def _counts(found: Detection) -> tuple[dict[str, int], dict[str, int]]:
    kinds = np.bincount(found.kinds(), minlength=len(KINDS))
    members = found.membership.sum(axis=1)
    by_language = {tag: int(members[row]) for row, tag in enumerate(found.languages)}
    return by_language, {kind: int(kinds[place]) for place, kind in enumerate(KINDS)}


def _null(counts: Sequence[int]) -> NullCount:
    observed, drawn = counts[0], tuple(counts[1:])
    return NullCount(observed, drawn, float(np.mean(drawn)), empirical_p(observed, drawn))


def _jaccard(pair: DetectionOverlap, tag: str) -> float | None:
    return pair.languages[tag].whole.jaccard if tag in pair.languages else None


def _mean(values: Sequence[float | None], digits: int) -> float | None:
    present = [value for value in values if value is not None]
    return rounded(float(np.mean(present)), digits) if present else None
