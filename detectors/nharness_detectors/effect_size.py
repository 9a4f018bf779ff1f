"""Effect size: the difference of means in pooled standard deviations (Cohen's d with equal weight for every language).

Legend: `G` languages, `M` neurons of the model. Site gate.

1. difference[k, j] = |mean[k, j] - mean over the other languages of mean[., j]|, as in `diff-mean`.
2. s[j] = square root of the mean over all languages of the population variance of g_j within the language.
3. score = difference / s; a neuron that never varies within any language (s = 0) scores 0.
4. A language's neurons are its round(top_rate * M) largest scores.
"""

from __future__ import annotations

import numpy as np

from nharness.detector import Evidence
from nharness.neurons import Detection
from nharness_detectors.diff_mean import DiffMean
from nharness_detectors.selection import blocks, contrast, highest_of_each, ordered_sum


class EffectSize(DiffMean):
    """Neurons whose mean activation differs most between the language and the others, relative to its spread."""

    name = "effect-size"

    def detect(self, evidence: Evidence) -> Detection:
        """Return each language's most different neurons; score in pooled standard deviations [G, M]."""
        recorded = evidence.statistics("gate")
        variance = recorded.variance()
        pooled = np.empty(recorded.size)
        for block in blocks(recorded.size):
            pooled[block] = np.sqrt(ordered_sum(variance[:, block]) / len(recorded.languages))
        del variance
        score = contrast(recorded.mean())
        np.abs(score, out=score)
        np.divide(score, pooled, out=score, where=pooled > 0)
        score[:, pooled == 0] = 0.0
        membership = highest_of_each(score, self.options.top_rate, score > 0)
        return self.detection(evidence, membership=membership, score=score)
