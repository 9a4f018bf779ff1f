"""Lingua franca: key linguistic regions (Zeng et al., COLING 2025, arXiv 2410.11718).

Legend: `G` languages (K in the formulas), `M` neurons of the model, `D` documents (sentences) of one language. Site
hidden.

1. A sentence's vector v = mean over its tokens of h, all layers in one vector; x = v / |v| + 1e-5.
2. score_k[j] = mean over unordered pairs of different sentences s, s' of language k of x_s[j] * x_s'[j].
3. z_k[j] = z-score of score_k[j] over the languages, population standard deviation (0 where all languages are equal).
4. A neuron is key to language k if z_k[j] > threshold. The largest z that K languages allow is sqrt(K - 1), so a
   threshold at or above it is an error; the default is min(2, 0.9 * sqrt(K - 1)). With `top_rate` it is the
   language's round(top_rate * M) largest z instead.

Departures from the released code: means over tokens for every architecture (it sums in one of them, so that scores
grow with the length of the sentence); its two alignment measures are not a detector and are part of the analysis.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nharness.detector import Detector, DetectorOptions, Evidence, Need
from nharness.errors import OptionError
from nharness.neurons import Detection
from nharness_detectors.documents import document_counts
from nharness_detectors.selection import highest_of_each, z_scores

OFFSET = 1e-5


class LinguaFrancaOptions(DetectorOptions):
    """z above which a neuron is key to a language (None: the default above), or the share of all neurons."""

    threshold: float | None = Field(None, gt=0, description="z over languages to exceed; none: min(2, 0.9 sqrt(K - 1))")
    top_rate: float | None = Field(
        None, gt=0, le=1, description="share of all neurons given to each language, instead of threshold"
    )


class LinguaFranca(Detector):
    """Neurons that respond alike to a language's sentences, and more so than to other languages'."""

    name = "lingua-franca"
    Options = LinguaFrancaOptions
    options: LinguaFrancaOptions

    def needs(self) -> tuple[Need, ...]:
        """Return document means at the hidden site."""
        return (Need("document_mean", "hidden"),)

    def detect(self, evidence: Evidence) -> Detection:
        """Return each language's key neurons; score = z over languages [G, M].

        Raises `OptionError` for a threshold that no neuron can reach, `UsageError` for fewer than two sentences.
        """
        recorded = evidence.statistics("hidden")
        document_counts(recorded, "document_mean", "mean", least=2, detector=self.name)
        threshold = self._threshold(len(recorded.languages))
        rows = [_agreement(recorded.get("document_mean", "mean", tag)) for tag in recorded.languages]
        agreement = np.stack(rows)
        del rows
        score = z_scores(agreement)
        candidates = score > 0
        if self.options.top_rate is None:
            membership, notes = score > threshold, {"threshold": threshold}
        else:
            membership, notes = highest_of_each(score, self.options.top_rate, candidates), {}
        return self.detection(evidence, membership=membership, score=score, candidates=candidates, notes=notes)

    def _threshold(self, languages: int) -> float:
        most = math.sqrt(languages - 1)
        if self.options.threshold is None:
            return min(2.0, 0.9 * most)
        if self.options.threshold >= most:
            raise OptionError(
                f"detector lingua-franca: option threshold is {self.options.threshold:g}, but no z-score over "
                f"{languages} languages exceeds {most:.4g}; expected a number above 0 and below that"
            )
        return self.options.threshold


def _agreement(sentences: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean product of two different sentences' responses [M], from the square of the sum [D, M]."""
    total = np.zeros(sentences.shape[1])
    squares = np.zeros(sentences.shape[1])
    for sentence in sentences:
        x = sentence.astype(np.float64)
        norm = math.sqrt(float(np.dot(x, x)))
        if norm > 0:
            x /= norm
        x += OFFSET
        total += x
        np.square(x, out=x)
        squares += x
    np.square(total, out=total)
    total -= squares
    total /= len(sentences) * (len(sentences) - 1)
    return total
