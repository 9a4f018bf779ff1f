"""Intervention `zero`: a -> 0 (Tang et al. 2024; Zhang et al. 2026; Zeng et al. 2025).

1. Every neuron of the target is set to 0 at every token: scale 0, shift 0.

A gate of 0 and a hidden activation of 0 are the same edit; it is made at the hidden site, which plain and gated layers
both have and which folds into the down projection.
"""

from __future__ import annotations

from nharness.detector import Evidence
from nharness.intervention import Change, Intervention, Target
from nharness_detectors.interventions.affine import affine


class Zero(Intervention):
    """Neurons switched off."""

    name = "zero"

    def changes(self, target: Target, evidence: Evidence) -> tuple[Change, ...]:  # noqa: ARG002 - nothing is measured
        """Return one change with scale 0 and shift 0."""
        return affine("hidden", target.flat)
