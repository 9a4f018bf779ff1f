"""Exhaustive ablation: the causal truth, one neuron at a time.

Legend: `G` languages, `M` neurons of the model.

1. For every neuron alone, h_j is set to 0 and each language's mean loss is measured; the runner does so and supplies
   delta[k, j] = loss with the neuron off minus loss with it on, in nats per token (`evidence.loss_changes`,
   "delta/<lang>").
2. score[k, j] = delta[k, j] - mean over the other languages of delta[., j]; with `contrast=false`, delta[k, j]
   itself.
3. A language's neurons are its round(top_rate * M) largest scores above 0.

It costs one evaluation per neuron and is therefore for small models, where other detectors are judged against it.
Groups of neurons can matter where single ones do not: redundancy is invisible to it.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from nharness.detector import Detector, DetectorOptions, Evidence, Need
from nharness.errors import UsageError
from nharness.neurons import Detection
from nharness_detectors.selection import contrast, highest_of_each


class ExhaustiveOptions(DetectorOptions):
    """Share given to each language; whether the others' changes are subtracted; tokens per language to ablate on."""

    top_rate: float = Field(0.01, gt=0, le=1, description="share of all neurons given to each language")
    contrast: bool = Field(True, description="less the mean loss of the other languages")
    tokens: int = Field(96, ge=1, le=1_000_000, description="tokens per language on which neurons are switched off")


class Exhaustive(Detector):
    """Neurons whose ablation costs the language most and the others least, as measured."""

    name = "exhaustive"
    Options = ExhaustiveOptions
    options: ExhaustiveOptions

    def needs(self) -> tuple[Need, ...]:
        """Return activation counts at the gate, for languages and layers; changes of the loss come separately."""
        return (Need("activation_count", "gate"),)

    def ablation_tokens(self) -> int:
        """Return the option `tokens`."""
        return self.options.tokens

    def detect(self, evidence: Evidence) -> Detection:
        """Return each language's neurons; score in nats per token [G, M].

        Raises `UsageError` when a language's changes were not measured or do not fit the model's size.
        """
        size = sum(evidence.layer_widths)
        delta = np.empty((len(evidence.languages), size))
        for row, tag in zip(delta, evidence.languages, strict=True):
            measured = evidence.loss_changes.get(f"delta/{tag}")
            if measured is None or measured.shape != (size,):
                got = "none" if measured is None else f"shape {measured.shape}"
                raise UsageError(
                    f"detector exhaustive needs {size} changes of loss for {tag!r}, one per neuron; got {got}"
                )
            row[:] = measured
        score = contrast(delta) if self.options.contrast else delta
        candidates = score > 0
        membership = highest_of_each(score, self.options.top_rate, candidates)
        return self.detection(evidence, membership=membership, score=score, candidates=candidates)
