"""Probe: sparse logistic regression of the language on document means.

Legend: `G` languages, `M` neurons of the model, `D` documents of all languages. Site hidden.

1. A document's features are the means of h over its tokens, each neuron standardised over all documents (constant
   neurons become 0).
2. For every language a logistic regression, one against the rest, with an L1 penalty of inverse strength `C` and
   classes weighted by inverse frequency (scikit-learn, liblinear).
3. The score is the weight of the standardised neuron; the neurons of positive weight are the language's.

Of several redundant neurons the penalty keeps one: what it leaves out need not be irrelevant.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from nharness.detector import Detector, DetectorOptions, Evidence, Need
from nharness.neurons import Detection
from nharness_detectors.documents import document_counts

TOLERANCE = 1e-5  # of the solver; much looser and the weights depend on the order of the neurons


class ProbeOptions(DetectorOptions):
    """Inverse strength of the penalty, most iterations, seed of the solver."""

    C: float = Field(1.0, gt=0, le=1e6, description="inverse strength of the penalty")
    iterations: int = Field(1000, ge=1, le=1_000_000, description="most iterations of the solver")
    seed: int = Field(0, ge=0, lt=2**32, description="seed of the solver")


class Probe(Detector):
    """Neurons that a sparse linear classifier of the language uses."""

    name = "probe"
    Options = ProbeOptions
    options: ProbeOptions

    def needs(self) -> tuple[Need, ...]:
        """Return document means at the hidden site."""
        return (Need("document_mean", "hidden"),)

    def detect(self, evidence: Evidence) -> Detection:
        """Return each language's neurons; score = weight [G, M]. Raises `UsageError` for one without a document."""
        recorded = evidence.statistics("hidden")
        counts = document_counts(recorded, "document_mean", "mean", least=1, detector=self.name)
        features = _standardised(
            np.concatenate([recorded.get("document_mean", "mean", tag) for tag in recorded.languages])
        )
        language = np.repeat(np.arange(len(counts)), counts)
        score = np.empty((len(counts), recorded.size))
        unfinished = []
        for row, tag in enumerate(recorded.languages):
            score[row], finished = self._weights(features, language == row)
            unfinished += [] if finished else [tag]
        own = score > 0
        return self.detection(
            evidence, membership=own, score=score, candidates=own, notes={"not_converged": unfinished}
        )

    def _weights(self, features: NDArray[np.float64], own: NDArray[np.bool_]) -> tuple[NDArray[np.float64], bool]:
        options = self.options
        model = LogisticRegression(
            l1_ratio=1.0,
            C=options.C,
            solver="liblinear",
            class_weight="balanced",
            max_iter=options.iterations,
            tol=TOLERANCE,
            random_state=options.seed,
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            model.fit(features, own)
        finished = not any(issubclass(entry.category, ConvergenceWarning) for entry in caught)
        return np.asarray(model.coef_[0], dtype=np.float64), finished


def _standardised(features: NDArray[np.float32]) -> NDArray[np.float64]:
    result = features.astype(np.float64)
    result -= result.mean(axis=0)
    deviation = np.sqrt((result**2).mean(axis=0))
    varies = features.max(axis=0) > features.min(axis=0)
    np.divide(result, deviation, out=result, where=varies & (deviation > 0))
    result[:, ~varies] = 0.0
    return result
