"""Interventions `mean` and `complement-mean`: the neuron keeps its average and says nothing about the token.

Legend: `G` languages, `n` neurons of the target.

`mean` (standard mean ablation): a -> mean over all languages of the language's mean activation, equal weight for each.
`complement-mean` (Kim et al., EMNLP 2026, arXiv 2609.10993): a -> mean over the languages that the neuron does *not*
belong to, so that the neuron behaves as on text of those languages. A neuron of all languages has no complement and
gets the mean over all.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nharness.detector import Evidence, Need
from nharness.intervention import Change, Intervention, Target
from nharness_detectors.interventions.affine import (
    GateOptions,
    HiddenOptions,
    affine,
    average,
    mean_needs,
    means,
)


class Mean(Intervention):
    """Activation held at its mean over all languages."""

    name = "mean"
    Options = HiddenOptions
    options: HiddenOptions

    def needs(self) -> tuple[Need, ...]:
        """Return moments at the site."""
        return mean_needs(self.options.site)

    def changes(self, target: Target, evidence: Evidence) -> tuple[Change, ...]:
        """Return one change with scale 0 and the mean as shift."""
        site: Literal["gate", "hidden"] = self.options.site
        return affine(site, target.flat, shift=average(means(evidence.statistics(site), target.flat)))


class ComplementMean(Intervention):
    """Activation held at its mean over the languages the neuron does not belong to.

    Kim et al., EMNLP 2026, arXiv 2609.10993.
    """

    name = "complement-mean"
    Options = GateOptions
    options: GateOptions

    def needs(self) -> tuple[Need, ...]:
        """Return moments at the site."""
        return mean_needs(self.options.site)

    def changes(self, target: Target, evidence: Evidence) -> tuple[Change, ...]:
        """Return one change with scale 0 and the mean over the other languages as shift."""
        rows = means(evidence.statistics(self.options.site), target.flat)
        foreign = ~_members(target, evidence.languages)
        foreign[:, ~(foreign & np.isfinite(rows)).any(axis=0)] = True
        return affine(self.options.site, target.flat, shift=average(rows, foreign))


def _members(target: Target, languages: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return which languages each of the target's neurons belongs to [G, n]; if unknown, the target's own."""
    if target.members is not None:
        return target.members[:, target.flat].copy()
    own = np.array([tag == target.language for tag in languages])
    return np.repeat(own[:, None], target.flat.size, axis=1)
