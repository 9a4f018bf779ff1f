"""Average precision of each neuron as a classifier of the language (Kojima et al., NAACL 2024, arXiv 2404.02431).

Legend: `G` languages, `M` neurons of the model, `D` documents of all languages, `B` neurons of one block. Site
hidden.

1. A neuron's response to a document is the mean of h_j over its tokens.
2. AP[k, j] = average precision of the response as a one-vs-rest classifier of language k over all documents: with
   every distinct response as a cut, from high to low, the sum over cuts of (recall - previous recall) * precision.
   Documents with equal responses share a cut.
3. The `count` highest AP (the neuron is high for the language) and the `count` lowest (it is low for it) are a
   language's neurons; `half` keeps one of the two. Both halves stay apart in the result: `signs` gives +1 and -1.
4. Neurons that respond alike to all documents carry no information and are never selected (a departure: their AP is
   the language's share of the documents, which can be among the lowest).

`count` is at most half of all neurons, so that the halves are disjoint. The score is AP itself, so that a budget
keeps the high half. The paper pairs it with the intervention `median`.

Departure: the paper ranks the outputs of every linear map, attention and projections included; here units are the
neurons of feed-forward layers, the only sites that nharness records and edits, so that the 1000 are chosen from
fewer.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nharness.detector import Detector, DetectorOptions, Evidence, Need
from nharness.neurons import Detection
from nharness_detectors.documents import document_counts, neuron_blocks
from nharness_detectors.selection import highest, lowest


class AveragePrecisionOptions(DetectorOptions):
    """How many neurons of each end are taken, and which ends."""

    count: int = Field(1000, ge=1, description="neurons of each half")
    half: Literal["both", "top", "bottom"] = Field(
        "both", description="the neurons high for the language, those low for it, or both"
    )


class AveragePrecision(Detector):
    """Neurons whose response, high or low, tells the language's documents from all others."""

    name = "average-precision"
    Options = AveragePrecisionOptions
    options: AveragePrecisionOptions

    def needs(self) -> tuple[Need, ...]:
        """Return document means at the hidden site."""
        return (Need("document_mean", "hidden"),)

    def detect(self, evidence: Evidence) -> Detection:
        """Return each language's best classifiers; score = average precision [G, M], 0 to 1.

        Raises `UsageError` for a language without a document.
        """
        recorded = evidence.statistics("hidden")
        counts = document_counts(recorded, "document_mean", "mean", least=1, detector=self.name)
        score = np.empty((len(counts), recorded.size), dtype=np.float32)
        varies = np.empty(recorded.size, dtype=bool)
        for block, response in neuron_blocks(recorded, "document_mean", "mean"):
            varies[block] = response.max(axis=1) > response.min(axis=1)
            score[:, block] = average_precisions(response, counts)
        top, bottom = self._ends(score, varies)
        membership = {"both": top | bottom, "top": top, "bottom": bottom}[self.options.half]
        below = {
            tag: np.flatnonzero(row & kept).tolist()
            for tag, row, kept in zip(recorded.languages, bottom, membership, strict=True)
        }
        return self.detection(evidence, membership=membership, score=score, notes={"negative": below})

    def _ends(
        self, score: NDArray[np.float32], varies: NDArray[np.bool_]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        count = min(self.options.count, int(varies.sum()) // 2)
        top, bottom = np.empty(score.shape, dtype=bool), np.empty(score.shape, dtype=bool)
        for row, scores in enumerate(score):
            top[row] = highest(np.where(varies, scores, -np.inf), count)
            bottom[row] = lowest(np.where(varies & ~top[row], scores, np.inf), count)
        return top, bottom


def signs(detection: Detection) -> NDArray[np.int8]:
    """Return +1 for members that are high for the language, -1 for members that are low for it, else 0, [G, M]."""
    sign = detection.membership.astype(np.int8)
    for row, tag in enumerate(detection.languages):
        low = np.asarray(detection.notes.get("negative", {}).get(tag, ()), dtype=np.int64)
        sign[row, low] *= -1
    return sign


def average_precisions(response: NDArray[np.float32], counts: list[int]) -> NDArray[np.float64]:
    """Return AP [G, B] of responses [B, D] whose documents come language after language, `counts` of each."""
    order = np.argsort(-response, axis=1)
    ranked = np.take_along_axis(response, order, axis=1)
    cut = _last_equal(ranked)  # [B, D], position of the last document of the same response
    place = np.empty_like(cut)  # the same, by document
    np.put_along_axis(place, order.astype(np.int32), cut, axis=1)
    result = np.empty((len(counts), response.shape[0]))
    start = 0
    for row, count in enumerate(counts):
        own = np.sort(place[:, start : start + count], axis=1)  # cuts of the language's documents, ascending
        found = _last_equal(own) + 1.0
        result[row] = (found / (own + 1.0)).mean(axis=1)
        start += count
    return result


def _last_equal(ordered: NDArray[np.floating] | NDArray[np.int32]) -> NDArray[np.int32]:
    """Return, for every entry of sorted rows, the position of the last entry of its row that equals it."""
    width = ordered.shape[1]
    position = np.broadcast_to(np.arange(width, dtype=np.int32), ordered.shape).copy()
    position[:, :-1][ordered[:, :-1] == ordered[:, 1:]] = width
    return np.minimum.accumulate(position[:, ::-1], axis=1)[:, ::-1]
