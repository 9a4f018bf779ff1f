"""Interventions `add`, `replace` and `diff-mean`: a language's mean as the dose.

Source: Gurgurov et al., 2025, arXiv 2507.22608.

`add`        a -> a + alpha * mean_target
`replace`    a -> alpha * mean_target
`diff-mean`  a -> a + alpha * (mean_target - mean over the other languages of their means)

mean_target is the mean activation over the target language's tokens; for general neurons the mean over all languages,
except in `diff-mean`, which is undefined there. alpha is the strength, 1 by default.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from nharness.detector import Evidence, Need
from nharness.intervention import Change, Intervention, Target
from nharness_detectors.interventions.affine import (
    GateOptions,
    affine,
    average,
    language_mean,
    mean_needs,
    means,
    require_language,
)


class LanguageMeanOptions(GateOptions):
    """Multiple of the mean, and the site."""

    alpha: float = Field(1.0, ge=-100, le=100, description="factor of the mean")


class Add(Intervention):
    """The language's mean added to the activation.

    Gurgurov et al., 2025, arXiv 2507.22608.
    """

    name = "add"
    purpose = "steer"
    strength_option = "alpha"
    Options = LanguageMeanOptions
    options: LanguageMeanOptions

    def needs(self) -> tuple[Need, ...]:
        """Return moments at the site."""
        return mean_needs(self.options.site)

    def changes(self, target: Target, evidence: Evidence) -> tuple[Change, ...]:
        """Return one change with scale 1 and alpha times the mean as shift."""
        shift = self.options.alpha * language_mean(evidence.statistics(self.options.site), target)
        return affine(self.options.site, target.flat, scale=1.0, shift=shift)


class Replace(Add):
    """Activation held at the language's mean.

    Gurgurov et al., 2025, arXiv 2507.22608.
    """

    name = "replace"

    def changes(self, target: Target, evidence: Evidence) -> tuple[Change, ...]:
        """Return one change with scale 0 and alpha times the mean as shift."""
        shift = self.options.alpha * language_mean(evidence.statistics(self.options.site), target)
        return affine(self.options.site, target.flat, shift=shift)


class AddDifference(Add):
    """The difference between the language's mean and the other languages' added to the activation.

    Gurgurov et al., 2025, arXiv 2507.22608.
    """

    name = "diff-mean"

    def changes(self, target: Target, evidence: Evidence) -> tuple[Change, ...]:
        """Return one change with scale 1; raises `UsageError` for a target that is not of one language."""
        recorded = evidence.statistics(self.options.site)
        row = require_language(self.name, recorded, target)
        rows = means(recorded, target.flat)
        others = np.ones(rows.shape, dtype=bool)
        others[row] = False
        shift = self.options.alpha * (np.nan_to_num(rows[row]) - average(rows, others))
        return affine(self.options.site, target.flat, scale=1.0, shift=shift)
