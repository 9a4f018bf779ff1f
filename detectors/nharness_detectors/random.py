"""Random neurons, matched to another detection: the control that every detector is held against.

Legend: `G` languages, `M` neurons of the model. Site gate (for activation probabilities).

1. With a reference detection, its membership is carried over to other neurons by a random permutation, so that every
   language keeps its number of neurons. The permutation stays within strata: `match=layer` (default) the neuron's
   layer; `match=uniform` the whole model; in both, one permutation serves all languages, so that neurons shared
   between languages stay shared and every kind keeps its size. `match=frequency` the neuron's layer and its
   activation probability on the language, in `bins` bins of equally many neurons; the strata differ by language, so
   each language is permuted apart and sharing is left to chance. General neurons, which belong to no recorded
   language, are binned by the mean.
2. Without one, every language gets round(rate * M) neurons: the same share of every layer (`match=layer`; rounding by
   largest remainder) or anywhere (`match=uniform`).
3. The score is uniform noise [G, M], independent of the membership.

Draws may contain the reference's own neurons, as in a randomisation test, where the reference is one of the equally
likely draws. Draws depend on the seed, the language's tag and the layer widths alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nharness.detector import Detector, DetectorOptions, Evidence, Need
from nharness.errors import UsageError
from nharness.neurons import Detection, same_model
from nharness_detectors.selection import share_count


class RandomOptions(DetectorOptions):
    """What is matched, the seed of the draw, bins of `frequency`, and the share drawn when there is no reference."""

    match: Literal["layer", "frequency", "uniform"] = Field("layer", description="what draws share with the reference")
    seed: int = Field(0, ge=0, description="seed of the draw")
    bins: int = Field(10, ge=1, le=1000, description="bins of activation probability, for match=frequency")
    rate: float = Field(0.01, gt=0, le=1, description="share of all neurons given to each language without a reference")


class Random(Detector):
    """Random neurons with the counts of a reference detection."""

    name = "random"
    Options = RandomOptions
    options: RandomOptions

    def needs(self) -> tuple[Need, ...]:
        """Return activation counts at the gate for `match=frequency`, which bins them; else nothing."""
        return (Need("activation_count", "gate"),) if self.options.match == "frequency" else ()

    def detect(self, evidence: Evidence) -> Detection:
        """Return as many neurons per language as the reference has; rows and languages are the reference's."""
        reference = evidence.reference
        if reference is None:
            languages, membership = evidence.languages, self._unmatched(evidence)
        else:
            same_model(reference, evidence, what="the reference detection's neurons")
            languages, membership = reference.languages, self._matched(evidence, reference)
        score = np.stack([self._noise(tag, "score").random(membership.shape[1], np.float32) for tag in languages])
        notes = {"reference": reference.detector if reference else None}
        if languages == evidence.languages:
            return self.detection(evidence, membership=membership, score=score, notes=notes)
        plain = self.detection(evidence, membership=_empty(evidence), score=score[0], notes=notes)
        return replace(plain, languages=languages, membership=membership, score=score)

    def _matched(self, evidence: Evidence, reference: Detection) -> NDArray[np.bool_]:
        layers = _layer_of(evidence)
        if self.options.match == "frequency":
            recorded = evidence.statistics("gate")
            probability = dict(zip(recorded.languages, recorded.activation_probability(), strict=True))
            membership = np.empty_like(reference.membership)
            for row, tag in enumerate(reference.languages):
                own = probability[tag] if tag in probability else np.mean(list(probability.values()), axis=0)
                strata = self._strata(own, layers, evidence.layer_widths)
                membership[row] = reference.membership[row][_permuted(strata, self._noise(tag, "draw"))]
            return membership
        strata = layers if self.options.match == "layer" else np.zeros_like(layers)
        return reference.membership[:, _permuted(strata, self._noise("", "draw"))]

    def _strata(
        self, probability: NDArray[np.float64], layers: NDArray[np.int64], layer_widths: tuple[int, ...]
    ) -> NDArray[np.int64]:
        """Return layer and bin of each neuron as one number [M]."""
        order = np.lexsort((probability, layers))
        rank = np.empty_like(layers)
        rank[order] = np.arange(layers.size)
        widths = np.asarray(layer_widths, dtype=np.int64)
        within = rank - (np.cumsum(widths) - widths)[layers]
        return np.asarray(layers * self.options.bins + within * self.options.bins // widths[layers], dtype=np.int64)

    def _unmatched(self, evidence: Evidence) -> NDArray[np.bool_]:
        if self.options.match == "frequency":
            raise UsageError("detector random with match=frequency needs a reference; match=layer does without")
        widths = evidence.layer_widths if self.options.match == "layer" else (sum(evidence.layer_widths),)
        counts = _spread(share_count(self.options.rate, sum(widths)), widths)
        membership = _empty(evidence)
        for row, tag in enumerate(evidence.languages):
            noise = self._noise(tag, "draw")
            drawn = [noise.permutation(width) < count for width, count in zip(widths, counts, strict=True)]
            membership[row] = np.concatenate(drawn)
        return membership

    def _noise(self, tag: str, purpose: str) -> np.random.Generator:
        return np.random.default_rng([self.options.seed, crc32(f"{purpose}/{tag}".encode())])


def _empty(evidence: Evidence) -> NDArray[np.bool_]:
    return np.zeros((len(evidence.languages), sum(evidence.layer_widths)), dtype=bool)


def _layer_of(evidence: Evidence) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(evidence.layer_widths), dtype=np.int64), evidence.layer_widths)


def _permuted(strata: NDArray[np.int64], noise: np.random.Generator) -> NDArray[np.int64]:
    """Return a permutation of 0..M that maps every stratum onto itself, uniform among those."""
    sources = np.argsort(strata, kind="stable")
    shuffled = np.lexsort((noise.random(strata.size), strata))
    permutation = np.empty_like(sources)
    permutation[shuffled] = sources
    return permutation


def _spread(count: int, widths: tuple[int, ...]) -> list[int]:
    """Share `count` out in proportion to the widths, by largest remainder; ties go to the earlier layer."""
    exact = [count * width / sum(widths) for width in widths]
    counts = [int(part) for part in exact]
    order = sorted(range(len(widths)), key=lambda layer: counts[layer] - exact[layer])
    for layer in order[: count - sum(counts)]:
        counts[layer] += 1
    return counts
