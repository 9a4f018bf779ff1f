"""Intervention `constant`: one value for all neurons at all tokens (Gurgurov et al., 2025, arXiv 2507.22608).

1. a -> value. The paper sets gates to -0.5 to -2.5, below any output of a smooth gate, so that the neuron is not only
   silent but pushes against what it used to write.
"""

from __future__ import annotations

from pydantic import Field

from nharness.detector import Evidence
from nharness.intervention import Change, Intervention, Target
from nharness_detectors.interventions.affine import GateOptions, affine


class ConstantOptions(GateOptions):
    """The value, in units of the activation, and the site."""

    value: float = Field(-0.5, ge=-1000, le=1000, description="what activations are set to")


class Constant(Intervention):
    """Activation held at one number."""

    name = "constant"
    strength_option = "value"
    Options = ConstantOptions
    options: ConstantOptions

    def changes(self, target: Target, evidence: Evidence) -> tuple[Change, ...]:  # noqa: ARG002 - nothing is measured
        """Return one change with scale 0 and the value as shift."""
        return affine(self.options.site, target.flat, shift=self.options.value)
