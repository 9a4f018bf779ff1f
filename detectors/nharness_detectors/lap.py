"""LAP: language activation probability, the baseline of Tang et al. (ACL 2024, arXiv 2402.16438).

Legend: `G` languages, `M` neurons of the model. Site gate.

1. p[k, j] = share of language k's tokens with g_j > 0.
2. A language's neurons are its round(top_rate * M) largest p; with `threshold`, those with p > threshold (the paper:
   0.95).
Languages are not contrasted: neurons that fire for every language are found for every language.
"""

from __future__ import annotations

from pydantic import Field

from nharness.detector import Detector, DetectorOptions, Evidence, Need
from nharness.neurons import Detection
from nharness_detectors.selection import highest_of_each


class LapOptions(DetectorOptions):
    """Share of all neurons given to each language, or the probability that a neuron must exceed instead."""

    top_rate: float = Field(0.01, gt=0, le=1, description="share of all neurons given to each language")
    threshold: float | None = Field(
        None, ge=0, lt=1, description="activation probability to exceed, instead of top_rate"
    )


class Lap(Detector):
    """Neurons that are active most often in the language."""

    name = "lap"
    Options = LapOptions
    options: LapOptions

    def needs(self) -> tuple[Need, ...]:
        """Return activation counts at the gate."""
        return (Need("activation_count", "gate"),)

    def detect(self, evidence: Evidence) -> Detection:
        """Return each language's most active neurons; score = p [G, M]."""
        probability = evidence.statistics("gate").activation_probability()
        if self.options.threshold is None:
            membership = highest_of_each(probability, self.options.top_rate, probability > 0)
        else:
            membership = probability > self.options.threshold
        return self.detection(evidence, membership=membership, score=probability)
