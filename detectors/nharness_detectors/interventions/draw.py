"""Interventions `resample` and `patch`: the neuron says what it said elsewhere (not affine).

`resample`  at every token, the activation is that at a random token of another language
`patch`     it is that at the corresponding place of the parallel sentence in another language

Both keep the neuron's distribution, which holding it at a constant does not. The runner draws the values and seeds
the draw.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from nharness.detector import Evidence
from nharness.intervention import Change, Intervention, Target
from nharness_detectors.interventions.affine import HiddenOptions


class Resample(Intervention):
    """Activation taken from a random token of another language."""

    name = "resample"
    Options = HiddenOptions
    options: HiddenOptions
    draw: ClassVar[Literal["resample", "patch"]] = "resample"

    def changes(self, target: Target, evidence: Evidence) -> tuple[Change, ...]:  # noqa: ARG002 - drawn by the runner
        """Return one change that names the draw; scale and shift are unused."""
        if not target.flat.size:
            return ()
        unused = np.zeros(target.flat.size, dtype=np.float32)
        return (Change(self.options.site, target.flat, unused, unused, self.draw),)


class Patch(Resample):
    """Activation taken from the parallel sentence in another language."""

    name = "patch"
    draw = "patch"
