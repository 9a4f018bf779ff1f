"""How far two detections agree: the same neurons, in the same layers, in the same order of strength.

Legend: `L` layers, `M` neurons of the model, `n` neurons of one language.
Jaccard = neurons in both / neurons in either; two empty sets have none (None), not 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from nharness.errors import UsageError
from nharness.neurons import Detection, same_model


@dataclass(frozen=True)
class SetOverlap:
    """Two sets of neurons: their sizes, how many they share, and Jaccard (None when both are empty).

    expected: Jaccard of two random sets of these sizes, to first order (expected shared over what then is in either).
    """

    first: int
    second: int
    shared: int
    jaccard: float | None
    expected: float | None


@dataclass(frozen=True)
class LanguageOverlap:
    """One language: over the whole model, layer by layer, and Spearman's rank correlation of strengths.

    rank_correlation is over the neurons that both detections score; None below three of them or when one side's scores
    are all equal.
    """

    whole: SetOverlap
    layers: tuple[SetOverlap, ...]
    rank_correlation: float | None


@dataclass(frozen=True)
class DetectionOverlap:
    """Two detections of one model, language by language; languages of only one of them are named, not compared."""

    languages: Mapping[str, LanguageOverlap]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    mean_jaccard: float | None
    mean_rank_correlation: float | None


def compare_detections(first: Detection, second: Detection) -> DetectionOverlap:
    """Return how far two detections agree.

    Raises `UsageError` when they are of models with different layer widths or have no language in common.
    """
    same_model(first, second, what=f"the neurons of {first.detector} and {second.detector}")
    common = tuple(tag for tag in first.languages if tag in second.languages)
    if not common:
        raise UsageError(
            f"the detections share no language: {', '.join(first.languages)} and {', '.join(second.languages)}"
        )
    strengths = first.strength(), second.strength()
    languages = {}
    for tag in common:
        members = first.membership[first.row(tag)], second.membership[second.row(tag)]
        rank = rank_correlation(strengths[0][first.row(tag)], strengths[1][second.row(tag)])
        languages[tag] = LanguageOverlap(
            overlap(*members), layer_overlaps(members[0], members[1], first.layer_widths), rank
        )
    return DetectionOverlap(
        languages=languages,
        only_first=tuple(tag for tag in first.languages if tag not in common),
        only_second=tuple(tag for tag in second.languages if tag not in common),
        mean_jaccard=_mean([entry.whole.jaccard for entry in languages.values()]),
        mean_rank_correlation=_mean([entry.rank_correlation for entry in languages.values()]),
    )


def overlap(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> SetOverlap:
    """Return the overlap of two sets, bool over the same neurons."""
    a, b = int(first.sum()), int(second.sum())
    shared = int((first & second).sum())
    if not a + b:
        return SetOverlap(0, 0, 0, None, None)
    by_chance = a * b / first.size
    return SetOverlap(a, b, shared, shared / (a + b - shared), by_chance / (a + b - by_chance))


def layer_overlaps(
    first: NDArray[np.bool_], second: NDArray[np.bool_], layer_widths: tuple[int, ...]
) -> tuple[SetOverlap, ...]:
    """Return the overlap within every layer [L] of two sets over the whole model [M]."""
    ends = np.cumsum(layer_widths)[:-1]
    return tuple(overlap(a, b) for a, b in zip(np.split(first, ends), np.split(second, ends), strict=True))


def rank_correlation(first: NDArray[np.floating], second: NDArray[np.floating]) -> float | None:
    """Return Spearman's correlation over the neurons [M] finite on both sides, ties at their mean rank."""
    scored = np.isfinite(first) & np.isfinite(second)
    if scored.sum() < 3:
        return None
    a, b = (rankdata(side[scored]) for side in (first, second))
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum() / scale) if scale > 0 else None


def _mean(values: list[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if present else None
