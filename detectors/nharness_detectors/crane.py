"""CRANE: relevance of neurons to the predictions of a language (Le & Li, 2026, arXiv 2601.04664).

Legend: `G` languages, `M` neurons of the model. Site hidden.

1. relevance[k, j] = mean over language k's tokens of neuron j's share in the next-token predictions.
   relevance=gradient_x_activation: -h_j * dLoss/dh_j, Loss the next-token negative log-likelihood. relevance=lrp:
   layer-wise relevance propagation from the logits of the next tokens, R_j = h_j * G_j with the rules of
   `nharness.models.relevance_rules`.
2. z[k, .] = relevance[k, .] standardised over all neurons of the model (population standard deviation).
3. A neuron is language k's own if z[k, j] > threshold (1) and, with `contrast`, if z[k, j] is the largest over
   languages (several languages on an exact tie).

Departures: the paper's final rule has no contrast between languages, so that most neurons are found for all
languages; `contrast=false` restores it. gradient_x_activation takes the token's log-likelihood, not its bare logit:
the sign for the token's own logit is the same, and the effect on competing tokens counts as well. The rules of lrp
fit Llama's family and most other decoders in transformers; a model that does not conserve relevance between logits
and embeddings (recurrent layers, norms or activations of its own) is refused.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nharness.detector import Detector, DetectorOptions, Evidence, Need
from nharness.neurons import Detection
from nharness_detectors.attribution import ablation_effect

STATISTIC = {"gradient_x_activation": "attribution", "lrp": "relevance"}


class CraneOptions(DetectorOptions):
    """Kind of relevance, its bar in standard deviations above the mean neuron, whether the language must rank first."""

    relevance: Literal["gradient_x_activation", "lrp"] = Field(
        "gradient_x_activation", description="what relevance is: gradient times activation, or layer-wise propagation"
    )
    threshold: float = Field(1.0, ge=0, le=100, description="standard deviations above the mean neuron")
    contrast: bool = Field(True, description="the language must come first among languages")


class Crane(Detector):
    """Neurons of outstanding relevance to the language's predictions."""

    name = "crane"
    Options = CraneOptions
    options: CraneOptions

    def needs(self) -> tuple[Need, ...]:
        """Return the chosen relevance at the hidden site."""
        return (Need(STATISTIC[self.options.relevance], "hidden"),)

    def detect(self, evidence: Evidence) -> Detection:
        """Return each language's neurons; score = z over all neurons [G, M]."""
        score = self._relevance(evidence)
        score -= score.mean(axis=1, keepdims=True)
        deviation = np.sqrt((score**2).mean(axis=1, keepdims=True))
        np.divide(score, deviation, out=score, where=deviation > 0)
        candidates = score > 0
        if self.options.contrast:
            candidates &= score == score.max(axis=0)
        membership = candidates & (score > self.options.threshold)
        return self.detection(evidence, membership=membership, score=score, candidates=candidates)

    def _relevance(self, evidence: Evidence) -> NDArray[np.float64]:
        """Return the mean relevance over the language's tokens [G, M]."""
        if self.options.relevance == "gradient_x_activation":
            return ablation_effect(evidence)
        recorded = evidence.statistics("hidden")
        totals = [recorded.get("relevance", "sum", tag) / recorded.totals[tag].tokens for tag in recorded.languages]
        return np.stack(totals)
