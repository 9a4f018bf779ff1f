"""Interventions `resample` and `patch`: the neuron says what it said elsewhere (not affine).

`resample`  at every token, the activations are those at one random token of text in the other languages
`patch`     they are those at the same relative place of the parallel document in another language

Both keep the distribution of the neurons, and what they say together, which holding them at constants does not. The
runner draws the values; `seed` seeds the random tokens.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from nharness.detector import Evidence
from nharness.errors import UsageError
from nharness.intervention import Change, Intervention, Target
from nharness_detectors.interventions.affine import HiddenOptions


class DonorOptions(HiddenOptions):
    """Seed of the draw, and the site."""

    seed: int = Field(0, ge=0, description="seed of the random tokens")


class Resample(Intervention):
    """Activation taken from a random token of another language."""

    name = "resample"
    Options = DonorOptions
    options: DonorOptions
    values_from: ClassVar[Literal["resample", "patch"]] = "resample"

    def changes(self, target: Target, evidence: Evidence) -> tuple[Change, ...]:
        """Return one change that names the draw and its donors: every language but the target's, in evidence order.

        Scale and shift are unused. Raises `UsageError` when the evidence has no other language.
        """
        if not target.flat.size:
            return ()
        donors = tuple(tag for tag in evidence.languages if tag != target.language)
        if not donors:
            raise UsageError(f"intervention {self.name} takes values from languages other than {target.language!r}")
        unused = np.zeros(target.flat.size, dtype=np.float32)
        seed = self.options.seed
        return (Change(self.options.site, target.flat, unused, unused, self.values_from, donors, seed),)


class Patch(Resample):
    """Activation taken from the parallel document in another language."""

    name = "patch"
    values_from = "patch"
