"""Attribution: first-order estimate of what switching a neuron off costs each language.

Legend: `G` languages, `M` neurons of the model. Site hidden: h = g * u, what the down projection reads.

1. By Taylor expansion at the recorded point, loss(h_j = 0) - loss(h_j) is about -h_j * dLoss/dh_j. Summed over a
   language's tokens and divided by their number: effect[k, j] in nats per token, positive when the neuron helps. The
   divisor is all tokens of the language, also in mixtures of experts: a neuron that is seldom reached costs little.
2. score[k, j] = effect[k, j] - mean over the other languages of effect[., j].
3. A language's neurons are its round(top_rate * M) largest scores above 0.

A gradient is local: the estimate is poor where the loss curves between h_j and 0; `exhaustive` measures it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nharness.detector import Detector, DetectorOptions, Evidence, Need
from nharness.neurons import Detection
from nharness_detectors.selection import contrast, highest_of_each


class AttributionOptions(DetectorOptions):
    """Share of all neurons given to each language."""

    top_rate: float = Field(0.01, gt=0, le=1, description="share of all neurons given to each language")


class Attribution(Detector):
    """Neurons whose ablation is estimated to cost the language most and the others least."""

    name = "attribution"
    Options = AttributionOptions
    options: AttributionOptions

    def needs(self) -> tuple[Need, ...]:
        """Return attributions at the hidden site."""
        return (Need("attribution", "hidden"),)

    def detect(self, evidence: Evidence) -> Detection:
        """Return each language's neurons; score in nats per token [G, M]."""
        score = contrast(ablation_effect(evidence))
        candidates = score > 0
        membership = highest_of_each(score, self.options.top_rate, candidates)
        return self.detection(evidence, membership=membership, score=score, candidates=candidates)


def ablation_effect(evidence: Evidence) -> NDArray[np.float64]:
    """Return -sum over tokens of h * dLoss/dh, divided by the language's tokens: nats per token [G, M]."""
    recorded = evidence.statistics("hidden")
    effect = np.empty((len(recorded.languages), recorded.size))
    for row, tag in zip(effect, recorded.languages, strict=True):
        np.divide(recorded.get("attribution", "sum", tag), -float(recorded.totals[tag].tokens), out=row)
    return effect
