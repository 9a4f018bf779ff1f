"""Intervention `steer`: one language's neurons off, another's on (Tang et al., ACL 2024, arXiv 2402.16438).

1. The source language's neurons are set to 0.
2. The target language's neurons are driven by its mean activation: `mode=replace` (default) a -> alpha * mean_target,
   `mode=add` a -> a + alpha * mean_target. A neuron that belongs to both is driven, not switched off.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from nharness.detector import Evidence, Need
from nharness.errors import UsageError
from nharness.intervention import Change, Intervention, Target
from nharness_detectors.interventions.affine import GateOptions, affine, language_mean, mean_needs


class SteerOptions(GateOptions):
    """Multiple of the mean, whether it replaces the activation or is added to it, and the site."""

    alpha: float = Field(1.0, ge=-100, le=100, description="multiple of the target language's mean")
    mode: Literal["replace", "add"] = Field("replace", description="replace the activation by it, or add it")


class Steer(Intervention):
    """The source language's neurons switched off and the target language's driven."""

    name = "steer"
    purpose = "steer"
    strength_option = "alpha"
    needs_source = True
    Options = SteerOptions
    options: SteerOptions

    def needs(self) -> tuple[Need, ...]:
        """Return moments at the site."""
        return mean_needs(self.options.site)

    def changes(self, target: Target, evidence: Evidence) -> tuple[Change, ...]:
        """Return one change for each language's neurons; raises `UsageError` when the target names no source."""
        if target.source_flat is None:
            raise UsageError(f"intervention steer needs a source language; the target {target.language!r} names none")
        site = self.options.site
        shift = self.options.alpha * language_mean(evidence.statistics(site), target)
        driven = affine(site, target.flat, scale=float(self.options.mode == "add"), shift=shift)
        off = np.setdiff1d(target.source_flat, target.flat)
        return affine(site, off) + driven
