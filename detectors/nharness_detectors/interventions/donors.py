"""Interventions `resample` and `patch`: activations taken from other text (not affine).

`resample`  at every token, the activations are those at one random token of text in the other languages
`patch`     they are those at the same relative position in the parallel document of another language

Both keep the neurons' joint distribution, which constants do not. The runner draws the values; `seed` seeds the
random tokens.
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
        """Return one change with the seed and the donors: all languages but the target's, in the evidence's order.

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
