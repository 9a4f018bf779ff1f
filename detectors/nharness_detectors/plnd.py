"""PLND: parallel language-specific neuron detection (Zhao et al., NeurIPS 2024, arXiv 2402.18815).

Legend: `G` languages, `M` neurons of the model, `D` documents of one language, `W` neurons of one layer. Site hidden.

1. importance=output_change (the paper): the norm of the change of the layer's output when the neuron is zeroed; in a
   feed-forward layer |h_j| * |W_down[:, j]|, root mean square over a document's tokens, so that one pass serves all
   neurons. importance=up_magnitude (the released code): sum over a document's tokens of |u_j|, the up projection.
2. In every document the round(top_rate * W) most important neurons of each layer are kept (at least one; never one of
   importance 0). The released code keeps 2000 of 11 008 to 14 336.
3. A neuron is consistently activated for a language if it is kept in at least `consensus` of its documents (1.0:
   all).
4. A language's neurons are those consistently activated for it, less those consistently activated for all languages.

The score is the share of the language's documents in which the neuron is kept, less the mean share of the other
languages. Candidates are the consistently activated neurons; those of all languages are its general ones.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nharness.detector import Detector, DetectorOptions, Evidence, Need
from nharness.neurons import Detection
from nharness_detectors.documents import document_counts
from nharness_detectors.selection import contrast, share_count

TENSORS = {"output_change": "mean", "up_magnitude": "sum"}
CHUNK = 64


class PlndOptions(DetectorOptions):
    """Kind of importance, share of each layer kept in a document, share of documents that must agree."""

    importance: Literal["output_change", "up_magnitude"] = Field(
        "output_change", description="change of the layer's output, or magnitude of the up projection"
    )
    top_rate: float = Field(0.15, gt=0, le=1, description="share of a layer kept in a document")
    consensus: float = Field(1.0, gt=0, le=1, description="share of a language's documents that must keep it")


class Plnd(Detector):
    """Neurons that are important in every document of the language but not in all languages."""

    name = "plnd"
    Options = PlndOptions
    options: PlndOptions

    def needs(self) -> tuple[Need, ...]:
        """Return the chosen importance."""
        return (Need(self.options.importance, "hidden"),)

    def detect(self, evidence: Evidence) -> Detection:
        """Return each language's consistently activated neurons without those of all languages; score [G, M], -1 to 1.

        Raises `UsageError` for a language without a document.
        """
        recorded = evidence.statistics("hidden")
        statistic, tensor = self.options.importance, TENSORS[self.options.importance]
        counts = document_counts(recorded, statistic, tensor, least=1, detector=self.name)
        kept = np.empty((len(counts), recorded.size))
        consistent = np.empty(kept.shape, dtype=bool)
        for row, (tag, count) in enumerate(zip(recorded.languages, counts, strict=True)):
            times = self._times_kept(recorded.get(statistic, tensor, tag), recorded.layer_widths)
            consistent[row] = times >= math.ceil(self.options.consensus * count - 1e-9)
            kept[row] = times / count
        membership = consistent & ~consistent.all(axis=0)
        return self.detection(evidence, membership=membership, score=contrast(kept), candidates=consistent)

    def _times_kept(self, importance: NDArray[np.float32], widths: tuple[int, ...]) -> NDArray[np.int64]:
        """Return in how many documents [D, M] each neuron is among its layer's most important, [M]."""
        times = np.zeros(importance.shape[1], dtype=np.int64)
        start = 0
        for width in widths:
            quota = max(1, share_count(self.options.top_rate, width))
            for first in range(0, len(importance), CHUNK):
                layer = importance[first : first + CHUNK, start : start + width]
                times[start : start + width] += _largest_of_rows(layer, quota).sum(axis=0)
            start += width
        return times


def _largest_of_rows(values: NDArray[np.float32], quota: int) -> NDArray[np.bool_]:
    """Mark the `quota` largest of every row above 0; ties go to the first."""
    cut = np.partition(values, values.shape[1] - quota, axis=1)[:, values.shape[1] - quota, None]
    chosen: NDArray[np.bool_] = values > cut
    tied = values == cut
    room = quota - chosen.sum(axis=1, keepdims=True)
    if (tied.sum(axis=1, keepdims=True) > room).any():
        tied &= np.cumsum(tied, axis=1) <= room
    chosen |= tied
    chosen &= values > 0
    return chosen
