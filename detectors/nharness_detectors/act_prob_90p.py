"""Activation probability above the 90th percentile (Mondal et al., Insights 2025, arXiv 2503.17456).

Legend: `G` languages, `M` neurons, `B` neurons of one block, `S` histogram bins. Site gate.

1. t[j] = the neuron's `percentile`-th percentile of g_j over the tokens of all languages, every language with equal
   weight, from the histogram: linear within the bin in which it falls.
2. r[k, j] = share of language k's tokens with g_j > t[j].
3. A language's neurons are its round(top_rate * M) largest r (the released code: 0.00125). There is no other
   contrast.

Departure: the released code takes the percentile over the same language's tokens, so that r is the complement of the
percentile for every neuron up to the shape of its tail; pooling over languages makes it the statement that the name
makes. A neuron that no token of some language reached (mixtures of experts) has r = 0 for that language.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nharness.detector import Detector, DetectorOptions, Evidence, Need
from nharness.neurons import Detection
from nharness.statistics import Statistics
from nharness_detectors.selection import blocks, highest_of_each

HISTOGRAM_BLOCK = 64


class ActProb90pOptions(DetectorOptions):
    """Percentile above which a neuron counts as active, and the share of all neurons given to each language."""

    percentile: float = Field(90.0, gt=0, lt=100)
    top_rate: float = Field(0.00125, gt=0, le=1)


class ActProb90p(Detector):
    """Neurons most often above their usual range in the language."""

    name = "act-prob-90p"
    Options = ActProb90pOptions
    options: ActProb90pOptions

    def needs(self) -> tuple[Need, ...]:
        """Return histograms at the gate."""
        return (Need("histogram", "gate"),)

    def detect(self, evidence: Evidence) -> Detection:
        """Return each language's neurons; score = share of tokens above the pooled percentile [G, M]."""
        score = _exceedance(evidence.statistics("gate"), self.options.percentile / 100)
        candidates = score > 1 - self.options.percentile / 100 + 1e-6
        membership = highest_of_each(score, self.options.top_rate, candidates)
        return self.detection(evidence, membership=membership, score=score, candidates=candidates)


def _exceedance(recorded: Statistics, quantile: float) -> NDArray[np.float64]:
    counts = [recorded.get("histogram", "count", tag) for tag in recorded.languages]
    score = np.empty((len(counts), recorded.size))
    for block in blocks(recorded.size, HISTOGRAM_BLOCK):
        share = np.stack([count[block] for count in counts]).astype(np.float64)  # [G, B, S + 2]
        total = share.sum(axis=2, keepdims=True)
        np.divide(share, total, out=share, where=total > 0)
        pooled = share.sum(axis=0)
        reached = pooled.sum(axis=1, keepdims=True)
        np.divide(pooled, reached, out=pooled, where=reached > 0)
        score[:, block] = share_above(share, pooled, quantile)
    return score


def share_above(
    share: NDArray[np.float64], pooled: NDArray[np.float64], quantile: float
) -> NDArray[np.float64]:
    """Return the part of every distribution [G, B, S] that lies above the pooled one's quantile [B, S], [G, B]."""
    cumulative = np.cumsum(pooled, axis=1)
    hit = np.minimum((cumulative < quantile).sum(axis=1), pooled.shape[1] - 1)  # bin of the quantile
    row = np.arange(len(hit))
    inside = pooled[row, hit]
    below = cumulative[row, hit] - inside
    fraction = np.divide(quantile - below, inside, out=np.ones_like(inside), where=inside > 0)
    above = np.arange(pooled.shape[1]) > hit[:, None]
    return np.asarray((share * above).sum(axis=2) + share[:, row, hit] * (1 - np.clip(fraction, 0, 1)))
