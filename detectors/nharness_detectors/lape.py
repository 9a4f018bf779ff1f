"""LAPE: language activation probability entropy (Tang et al., ACL 2024, arXiv 2402.16438).

Legend: `G` languages, `M` neurons of the model. Site gate: g = act(W_gate x).

1. p[k, j] = share of language k's tokens with g_j > 0 (of the tokens routed to the neuron, in mixtures of experts).
2. q = p / sum_k p (an all-zero row: q = 0); LAPE_j = -sum_k q ln q, in nats, with 0 ln 0 = 0.
3. Bar T = the round(activation_bar * M * G)-th smallest, 1-based, of all p. Filter bar likewise from filter_rate.
4. A neuron whose p exceeds the filter bar (strictly) for no language scores +inf.
5. The round(top_rate * M) smallest finite scores are selected, over all layers together.
6. A selected neuron belongs to every language k with p[k, j] > T.

Departures from the released code: ties at the cut are broken by (layer, unit) order instead of by the tensor library;
a language without neurons keeps its empty row instead of being dropped; terms are added in ascending order, so that
the order of the languages changes nothing. On models so small that round(top_rate * M) is 0, nothing is selected.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nharness.detector import Detector, DetectorOptions, Evidence, Need
from nharness.neurons import Detection
from nharness_detectors.selection import activation_bar, entropy, lowest, share_count


class LapeOptions(DetectorOptions):
    """Shares of all neurons (top_rate) and of all activation probabilities (the two bars)."""

    top_rate: float = Field(0.01, gt=0, le=1, description="share of all neurons to select")
    filter_rate: float = Field(
        0.95, ge=0, le=1, description="quantile of all probabilities that a neuron must exceed in some language"
    )
    activation_bar: float = Field(
        0.95, ge=0, le=1, description="quantile of all probabilities above which a neuron belongs to a language"
    )


class Lape(Detector):
    """Neurons whose activation probability is concentrated in few languages."""

    name = "lape"
    Options = LapeOptions
    options: LapeOptions

    def needs(self) -> tuple[Need, ...]:
        """Return activation counts at the gate."""
        return (Need("activation_count", "gate"),)

    def weight(self, evidence: Evidence) -> NDArray[np.float64]:
        """Return what is compared between languages [G, M], at least 0: here p."""
        return evidence.statistics("gate").activation_probability()

    def detect(self, evidence: Evidence) -> Detection:
        """Return the selected neurons; score = entropy in nats [M], +inf where no language passes the filter."""
        weight = self.weight(evidence)
        bar = activation_bar(weight, self.options.activation_bar)
        same = self.options.filter_rate == self.options.activation_bar
        filter_bar = bar if same else activation_bar(weight, self.options.filter_rate)
        score = entropy(weight)
        score[~(weight > filter_bar).any(axis=0)] = np.inf
        selected = lowest(score, share_count(self.options.top_rate, score.size))
        active = weight > bar
        active &= np.isfinite(score)
        return self.detection(
            evidence,
            membership=active & selected,
            score=score,
            best="lowest",
            candidates=active,
            notes={"activation_bar": bar, "filter_bar": filter_bar, "selected": int(selected.sum())},
        )
