"""A detector's scores against neurons whose role is known: AUROC, precision at k, rank correlation.

Legend: `G` languages, `M` neurons of the model.

Scores are `Detection.strength()`: higher is more the language's own, -inf where it is no candidate. Neurons of equal
score share their rank, those at -inf among them, so that no number depends on an order that the detector did not give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from nharness.analysis.rounding import rounded
from nharness.errors import UsageError
from nharness.neurons import Component, Detection, same_model
from nharness.record.results import GroundTruth, TruthScore

Floats = NDArray[np.float64]
TRUE_SHARE = 0.01


@dataclass(frozen=True)
class Truth:
    """What is known of the neurons.

    membership: bool [G, M], neurons that are a language's own. effect: [G, M], how much a neuron is its own (causal
    effect, planted strength), or None.
    """

    name: str
    languages: tuple[str, ...]
    layer_widths: tuple[int, ...]
    membership: NDArray[np.bool_]
    effect: Floats | None = None
    component: Component = "mlp"

    def __post_init__(self) -> None:
        size = len(self.languages), sum(self.layer_widths)
        if self.membership.shape != size or (self.effect is not None and self.effect.shape != size):
            raise UsageError(f"ground truth {self.name} has shape {self.membership.shape}; expected {size}")

    @classmethod
    def from_effects(
        cls, name: str, languages: Sequence[str], layer_widths: Sequence[int], effect: Floats, *, share: float = 0.01
    ) -> Truth:
        """Return the truth whose members are each language's `round(share * M)` largest effects above 0.

        The number is at least 1; a language with fewer effects above 0 has fewer members.
        """
        count = max(1, round(share * effect.shape[1]))
        membership = np.zeros(effect.shape, dtype=bool)
        for row, values in enumerate(effect):
            best = np.argsort(-values, kind="stable")[:count]
            membership[row, best[values[best] > 0]] = True
        return cls(name, tuple(languages), tuple(layer_widths), membership, effect)


def own_effect(delta: Floats) -> Floats:
    """Return how much more every neuron costs a language than the mean of the others, [G, M], of delta [G, M]."""
    others = (delta.sum(axis=0) - delta) / (len(delta) - 1)
    return np.asarray(delta - others)


def against_truth(detection: Detection, truth: Truth, *, digits: int = 12) -> GroundTruth:
    """Return the scores of every language that both know; k is the language's number of true neurons.

    Raises `UsageError` when they are of different models or share no language.
    """
    same_model(detection, truth, what=f"the {detection.detector} neurons")
    common = [tag for tag in detection.languages if tag in truth.languages]
    if not common:
        raise UsageError(f"ground truth {truth.name} covers none of the languages {', '.join(detection.languages)}")
    strength = detection.strength()
    scores = []
    for tag in common:
        row, known = strength[detection.row(tag)], truth.languages.index(tag)
        members = truth.membership[known]
        effect = truth.effect[known] if truth.effect is not None else None
        count = int(members.sum())
        scores.append(
            TruthScore(
                language=tag,
                auroc=rounded(auroc(row, members), digits),
                k=count,
                precision_at_k=rounded(precision_at_k(row, members, count), digits),
                rank_correlation=rounded(rank_correlation(row, effect), digits) if effect is not None else None,
            )
        )
    return GroundTruth(
        truth=truth.name,
        auroc=_mean([score.auroc for score in scores], digits),
        precision_at_k=_mean([score.precision_at_k for score in scores], digits),
        rank_correlation=_mean([score.rank_correlation for score in scores], digits),
        languages=tuple(scores),
    )


def auroc(strength: NDArray[np.floating], members: NDArray[np.bool_]) -> float | None:
    """Return the chance that a true neuron scores above another, ties counting half; None without both kinds.

    Mann-Whitney: (sum of the members' mean ranks - n (n + 1) / 2) / (n (M - n)).
    """
    count = int(members.sum())
    others = members.size - count
    if not count or not others:
        return None
    ranks = rankdata(strength)
    return float((ranks[members].sum() - count * (count + 1) / 2) / (count * others))


def precision_at_k(strength: NDArray[np.floating], members: NDArray[np.bool_], k: int) -> float | None:
    """Return the share of true neurons among the k strongest; where the cut falls into a tie, its expectation.

    None for k = 0.
    """
    if k <= 0:
        return None
    k = min(k, strength.size)
    cut = np.partition(strength, strength.size - k)[strength.size - k]
    above, at_cut = strength > cut, strength == cut
    left = k - int(above.sum())
    return float((members[above].sum() + left * members[at_cut].mean()) / k)


def rank_correlation(strength: NDArray[np.floating], effect: Floats) -> float | None:
    """Return Spearman's correlation over all neurons [M], ties at their mean rank; None when one side is constant."""
    a, b = (ranks - ranks.mean() for ranks in (rankdata(strength), rankdata(effect)))
    scale = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float(np.clip((a * b).sum() / scale, -1, 1)) if scale > 0 else None


def _mean(values: Sequence[float | None], digits: int) -> float | None:
    present = [value for value in values if value is not None]
    return rounded(float(np.mean(present)), digits) if present else None
