"""Activation probability above the 90th percentile (Mondal et al., Insights 2025, arXiv 2503.17456).

Legend: `G` languages, `M` neurons, `B` neurons of one block, `S` columns of the sketch. Site gate.

1. t[j] = the neuron's `percentile`-th percentile of g_j over the tokens of all languages, every language with equal
   weight, from the quantile sketch.
2. r[k, j] = share of language k's tokens with g_j > t[j]; values in the column of t[j] are taken to be evenly spread.
3. A language's neurons are its round(top_rate * M) largest r (the released code: 0.00125). Languages are contrasted
   in no other way.

Departure: the released code takes the percentile over the same language's tokens, so that r is close to the
complement of the percentile for every neuron; pooled over languages, it says what the name says. A neuron that no
token of some language reached (mixtures of experts) has r = 0 for that language.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nharness.detector import Detector, DetectorOptions, Evidence, Need
from nharness.neurons import Detection
from nharness.statistics import Statistics, sketch
from nharness_detectors.selection import blocks, highest_of_each

SKETCH_BLOCK = 64


class ActProb90pOptions(DetectorOptions):
    """Percentile above which a neuron counts as active, and the share of all neurons given to each language."""

    percentile: float = Field(
        90.0, gt=0, lt=100, description="percentile of all languages' tokens above which a neuron is active"
    )
    top_rate: float = Field(0.00125, gt=0, le=1, description="share of all neurons given to each language")


class ActProb90p(Detector):
    """Neurons most often above their usual range in the language."""

    name = "act-prob-90p"
    version = "2"
    Options = ActProb90pOptions
    options: ActProb90pOptions

    def needs(self) -> tuple[Need, ...]:
        """Return quantile sketches at the gate."""
        return (Need(sketch.NAME, "gate"),)

    def detect(self, evidence: Evidence) -> Detection:
        """Return each language's neurons; score = share of tokens above the pooled percentile [G, M]."""
        score = _exceedance(evidence.statistics("gate"), self.options.percentile / 100)
        membership = highest_of_each(score, self.options.top_rate, score > 0)
        return self.detection(evidence, membership=membership, score=score)


def _exceedance(recorded: Statistics, quantile: float) -> NDArray[np.float64]:
    counts = [recorded.get(sketch.NAME, "count", tag) for tag in recorded.languages]
    score = np.empty((len(counts), recorded.size))
    buffer = np.empty((len(counts), SKETCH_BLOCK, counts[0].shape[1]), dtype=np.float32)  # [G, B, S]
    for block in blocks(recorded.size, SKETCH_BLOCK):
        tokens = buffer[:, : block.stop - block.start]
        for row, count in zip(tokens, counts, strict=True):
            row[:] = count[block]
        total = tokens.sum(axis=2)
        weight = np.divide(1, total, out=np.zeros_like(total), where=total > 0)
        pooled = np.einsum("gbs,gb->bs", tokens, weight).astype(np.float64)
        score[:, block] = weight * tokens_above(tokens, pooled, quantile)
    return score


def tokens_above(tokens: NDArray[np.float32], pooled: NDArray[np.float64], quantile: float) -> NDArray[np.float32]:
    """Return the part of every sketch [G, B, S] that lies above the quantile of the pooled one [B, S], [G, B]."""
    cumulative = np.cumsum(pooled, axis=1)
    wanted = quantile * cumulative[:, -1]
    hit = np.minimum((cumulative < wanted[:, None]).sum(axis=1), pooled.shape[1] - 1)  # column of the quantile
    row = np.arange(len(hit))
    inside = pooled[row, hit]
    below = cumulative[row, hit] - inside
    fraction = np.divide(wanted - below, inside, out=np.ones_like(inside), where=inside > 0)
    above = (np.arange(pooled.shape[1]) > hit[:, None]).astype(np.float32)
    rest = np.where(hit == sketch.ZERO, 0, 1 - np.clip(fraction, 0, 1)).astype(np.float32)  # no zero is above zero
    return np.asarray(np.einsum("gbs,bs->gb", tokens, above) + tokens[:, row, hit] * rest)
