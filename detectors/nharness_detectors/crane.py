"""CRANE: relevance of neurons to the predictions of a language (Le & Li, 2026, arXiv 2601.04664).

Legend: `G` languages, `M` neurons of the model. Site hidden.

1. relevance[k, j] = mean over language k's tokens of -h_j * dLoss/dh_j, Loss the next-token negative log-likelihood:
   the part of the prediction that the neuron carries (gradient times activation).
2. z[k, .] = relevance[k, .] standardised over all neurons of the model (population standard deviation).
3. A neuron is language k's own if z[k, j] > threshold (1) and, with `contrast`, if z[k, j] is the largest over
   languages (several languages on an exact tie).

Departures: the paper's final rule has no contrast between languages, so that most of what it finds is found for all
of them; `contrast=false` restores it. The gradient is that of the token's log-likelihood, not of its bare logit: it
has the same sign for the token's own logit and also counts what the neuron does to the competing tokens. The paper's
second variant, layer-wise relevance propagation, needs rules per architecture and is not
offered: `relevance` has one value.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from nharness.detector import Detector, DetectorOptions, Evidence, Need
from nharness.neurons import Detection
from nharness_detectors.attribution import ablation_effect


class CraneOptions(DetectorOptions):
    """What relevance is, its bar in standard deviations above the mean neuron, whether the language must come first."""

    relevance: Literal["gradient_x_activation"] = "gradient_x_activation"
    threshold: float = Field(1.0, ge=0, le=100)
    contrast: bool = True


class Crane(Detector):
    """Neurons of outstanding relevance to the language's predictions."""

    name = "crane"
    Options = CraneOptions
    options: CraneOptions

    def needs(self) -> tuple[Need, ...]:
        """Return attributions at the hidden site."""
        return (Need("attribution", "hidden"),)

    def detect(self, evidence: Evidence) -> Detection:
        """Return each language's neurons; score = z over all neurons [G, M]."""
        score = ablation_effect(evidence)
        score -= score.mean(axis=1, keepdims=True)
        deviation = np.sqrt((score**2).mean(axis=1, keepdims=True))
        np.divide(score, deviation, out=score, where=deviation > 0)
        candidates = score > 0
        if self.options.contrast:
            candidates &= score == score.max(axis=0)
        membership = candidates & (score > self.options.threshold)
        return self.detection(evidence, membership=membership, score=score, candidates=candidates)
