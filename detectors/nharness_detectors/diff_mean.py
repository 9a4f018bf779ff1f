"""Difference of means: how far the language's mean activation lies from the others'.

Legend: `G` languages, `M` neurons of the model. Site gate.

1. mean[k, j] = mean of g_j over language k's tokens (those routed to the neuron, in mixtures of experts).
2. score[k, j] = |mean[k, j] - mean over the other languages of mean[., j]|, every other language with equal weight.
3. A language's neurons are its round(top_rate * M) largest scores.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from nharness.detector import Detector, DetectorOptions, Evidence, Need
from nharness.neurons import Detection
from nharness_detectors.selection import contrast, highest_of_each


class DiffMeanOptions(DetectorOptions):
    """Share of all neurons given to each language."""

    top_rate: float = Field(0.01, gt=0, le=1, description="share of all neurons given to each language")


class DiffMean(Detector):
    """Neurons whose mean activation differs most between the language and the others."""

    name = "diff-mean"
    Options = DiffMeanOptions
    options: DiffMeanOptions

    def needs(self) -> tuple[Need, ...]:
        """Return moments at the gate, and the counts of tokens that reached each neuron."""
        return (Need("moments", "gate"), Need("activation_count", "gate"))

    def detect(self, evidence: Evidence) -> Detection:
        """Return each language's most different neurons; score = absolute difference of means [G, M]."""
        score = contrast(evidence.statistics("gate").mean())
        np.abs(score, out=score)
        membership = highest_of_each(score, self.options.top_rate, score > 0)
        return self.detection(evidence, membership=membership, score=score)
