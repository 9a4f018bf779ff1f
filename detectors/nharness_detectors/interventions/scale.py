"""Interventions `scale` and `amplify`: neurons turned down or up (Rahmanisa et al., 2025).

`scale`    a -> factor * a
`amplify`  a -> alpha * the `quantile` of the target language's activation over its tokens (1: the largest seen), from
           the recorded sketch (`nharness.statistics.sketch` has its error); all languages pooled for general neurons
"""

from __future__ import annotations

from pydantic import Field

from nharness.detector import Evidence, Need
from nharness.intervention import Change, Intervention, Target
from nharness.statistics import sketch
from nharness_detectors.interventions.affine import GateOptions, affine


class ScaleOptions(GateOptions):
    """Factor of the activation, and the site (which makes no difference in a gated layer)."""

    factor: float = Field(0.5, ge=-1000, le=1000, description="what the activation is multiplied by")


class Scale(Intervention):
    """Activation multiplied."""

    name = "scale"
    strength_option = "factor"
    Options = ScaleOptions
    options: ScaleOptions

    def changes(self, target: Target, evidence: Evidence) -> tuple[Change, ...]:  # noqa: ARG002 - nothing is measured
        """Return one change with the factor as scale."""
        return affine(self.options.site, target.flat, scale=self.options.factor)


class AmplifyOptions(GateOptions):
    """Which quantile of the activation, its multiple, and the site."""

    quantile: float = Field(
        0.99, gt=0, le=1, description="which of the activation over the language's tokens; 1: the largest seen"
    )
    alpha: float = Field(1.0, ge=-100, le=100, description="multiple of the quantile")


class Amplify(Intervention):
    """Activation held at a high quantile of its values in the language."""

    name = "amplify"
    version = "2"
    purpose = "steer"
    strength_option = "alpha"
    Options = AmplifyOptions
    options: AmplifyOptions

    def needs(self) -> tuple[Need, ...]:
        """Return quantile sketches at the site."""
        return (Need(sketch.NAME, self.options.site),)

    def changes(self, target: Target, evidence: Evidence) -> tuple[Change, ...]:
        """Return one change with scale 0 and the quantile as shift."""
        recorded = evidence.statistics(self.options.site)
        tags = (target.language,) if target.language in recorded.languages else recorded.languages
        found = sketch.sketch_of(recorded, tags, target.flat)
        shift = self.options.alpha * found.quantile(self.options.quantile)
        return affine(self.options.site, target.flat, shift=shift)
