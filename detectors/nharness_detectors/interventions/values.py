"""Interventions `clip`, `threshold`, `noise` and `project`: functions of the value that are not affine in each neuron.

Legend: `G` languages, `n` neurons of the target, `S` tokens, `k` target neurons of one layer.

`clip`       a -> a clipped to [-limit, limit]
`threshold`  a -> a where |a| > threshold, else 0
`noise`      a -> a + sigma * s * e, with e standard normal and s the neuron's standard deviation over all languages'
             tokens, equal weight for each language: the mean is kept
`project`    a -> a - d <d, a - m>, with d the unit vector along (mean_target - mean of the other languages' means)
             over the layer's k neurons, m the mean over all languages: the component along the difference of means is
             held at its mean, all other directions are left alone (mean projection in one dimension; cf.
             Haghighatkhah et al., 2022, arXiv 2212.04273)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nharness.detector import Evidence, Need
from nharness.intervention import Intervention, Target, ValueChange
from nharness.statistics import Statistics
from nharness_detectors.interventions.affine import (
    GateOptions,
    HiddenOptions,
    average,
    mean_needs,
    means,
    require_language,
)

if TYPE_CHECKING:
    from torch import Tensor


def clip(values: Tensor, limit: float) -> Tensor:
    """Return values [S, k] cut to [-limit, limit]."""
    return values.clamp(-limit, limit)


def threshold(values: Tensor, threshold: float) -> Tensor:
    """Return values [S, k] with those of magnitude up to the threshold set to 0."""
    return values * (values.abs() > threshold)


def blur(values: Tensor, spread: Tensor, noise: Tensor) -> Tensor:
    """Return values [S, k] with noise of standard deviation `spread` [k] added."""
    return values + spread * noise


def project(values: Tensor, direction: Tensor, mean: Tensor) -> Tensor:
    """Return values [S, k] with the component along `direction` [k] held at that of `mean` [k]; 0 is no direction."""
    unit: Tensor = direction / direction.norm().clamp(min=1e-12)
    along = (values - mean) @ unit
    return values - along[:, None] * unit


class ClipOptions(HiddenOptions):
    """The largest magnitude of an activation, and the site."""

    limit: float = Field(0.1, ge=0, le=1000, description="largest size of an activation that is left")


class Clip(Intervention):
    """Activation clipped at a largest magnitude."""

    name = "clip"
    strength_option = "limit"
    Options = ClipOptions
    options: ClipOptions

    def changes(self, target: Target, evidence: Evidence) -> tuple[ValueChange, ...]:  # noqa: ARG002 - not needed
        """Return one change of values, the same for every neuron."""
        if not target.flat.size:
            return ()
        return (ValueChange(self.options.site, target.flat, clip, {"limit": self.options.limit}),)


class ThresholdOptions(HiddenOptions):
    """The magnitude up to which activations are set to 0, and the site."""

    threshold: float = Field(0.1, ge=0, le=1000, description="size up to which an activation is set to 0")


class Threshold(Intervention):
    """Activation set to 0 where it is small."""

    name = "threshold"
    strength_option = "threshold"
    Options = ThresholdOptions
    options: ThresholdOptions

    def changes(self, target: Target, evidence: Evidence) -> tuple[ValueChange, ...]:  # noqa: ARG002 - not needed
        """Return one change of values, the same for every neuron."""
        if not target.flat.size:
            return ()
        return (ValueChange(self.options.site, target.flat, threshold, {"threshold": self.options.threshold}),)


class NoiseOptions(HiddenOptions):
    """Standard deviation of the noise in those of the activation, its seed, and the site."""

    sigma: float = Field(1.0, ge=0, le=100, description="noise in standard deviations of the activation")
    seed: int = Field(0, ge=0, description="seed of the noise")


class Noise(Intervention):
    """Activation with noise in proportion to its spread added."""

    name = "noise"
    strength_option = "sigma"
    Options = NoiseOptions
    options: NoiseOptions

    def needs(self) -> tuple[Need, ...]:
        """Return moments at the site."""
        return mean_needs(self.options.site)

    def changes(self, target: Target, evidence: Evidence) -> tuple[ValueChange, ...]:
        """Return one change of values, with every neuron's standard deviation."""
        if not target.flat.size:
            return ()
        options = self.options
        spread = options.sigma * deviations(evidence.statistics(options.site), target.flat)
        return (ValueChange(options.site, target.flat, blur, {"spread": spread.astype(np.float32)}, options.seed),)


class Project(Intervention):
    """The component along the direction that separates the language from the others held at its mean.

    After Haghighatkhah et al., 2022, arXiv 2212.04273.
    """

    name = "project"
    Options = GateOptions
    options: GateOptions

    def needs(self) -> tuple[Need, ...]:
        """Return moments at the site."""
        return mean_needs(self.options.site)

    def changes(self, target: Target, evidence: Evidence) -> tuple[ValueChange, ...]:
        """Return one change of values; raises `UsageError` for a target that is not of one language."""
        if not target.flat.size:
            return ()
        recorded = evidence.statistics(self.options.site)
        row = require_language(self.name, recorded, target)
        rows = means(recorded, target.flat)
        others = np.ones(rows.shape, dtype=bool)
        others[row] = False
        direction = np.nan_to_num(rows[row]) - average(rows, others)
        parameters = {"direction": direction.astype(np.float32), "mean": average(rows).astype(np.float32)}
        return (ValueChange(self.options.site, target.flat, project, parameters),)


def deviations(recorded: Statistics, flat: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the neurons' standard deviation [n], languages with equal weight; 0 where no token reached a neuron."""
    mean = means(recorded, flat)
    squares = np.full(mean.shape, np.nan)
    for row, tag in zip(squares, recorded.languages, strict=True):
        tokens = recorded.tokens(tag)[flat]
        np.divide(recorded.get("moments", "sumsq", tag)[flat], tokens, out=row, where=tokens > 0)
    return np.asarray(np.sqrt(np.maximum(average(squares) - average(mean) ** 2, 0)))
