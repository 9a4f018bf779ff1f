"""Intervention `median`: the typical response in the language (Kojima et al., NAACL 2024, arXiv 2404.02431).

1. A neuron's response to a sentence is the mean of its activation over the sentence's tokens.
2. At every token: a -> alpha * median response over the target language's sentences (all languages' for the target of
   general neurons). The paper uses it to make the model write the target language.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from nharness.detector import Evidence, Need
from nharness.errors import UsageError
from nharness.intervention import Change, Intervention, Target
from nharness_detectors.interventions.affine import HiddenOptions, affine


class MedianOptions(HiddenOptions):
    """Multiple of the median, and the site."""

    alpha: float = Field(1.0, ge=-100, le=100, description="factor of the median")


class Median(Intervention):
    """Activation held at the language's median response."""

    name = "median"
    purpose = "steer"
    strength_option = "alpha"
    Options = MedianOptions
    options: MedianOptions

    def needs(self) -> tuple[Need, ...]:
        """Return document means at the site."""
        return (Need("document_mean", self.options.site),)

    def changes(self, target: Target, evidence: Evidence) -> tuple[Change, ...]:
        """Return one change with scale 0 and the median as shift; raises `UsageError` when no document was recorded."""
        recorded = evidence.statistics(self.options.site)
        tags = (target.language,) if target.language in recorded.languages else recorded.languages
        responses = np.concatenate([recorded.get("document_mean", "mean", tag)[:, target.flat] for tag in tags])
        if not len(responses):
            raise UsageError(f"intervention median needs documents of {target.language!r}; none were recorded")
        shift = self.options.alpha * np.median(responses.astype(np.float64), axis=0)
        return affine(self.options.site, target.flat, shift=shift)
