"""Random controls of a run: which neurons every draw takes for every target."""

from __future__ import annotations

from dataclasses import dataclass

from nharness.detector import Detector, Evidence
from nharness.neurons import Detection
from nharness.plugins import Plugins
from nharness.run.plan.resolve import load_detector
from nharness.spec import ControlSpec, Named


@dataclass(frozen=True)
class ControlSampler:
    """Draws matched random neurons for a table of targets, one draw for all of its rows at once."""

    spec: ControlSpec
    seed: int
    plugins: Plugins

    def detector(self, draw: int) -> Detector:
        """Return the detector that makes one draw; its seed depends on the run's seed and the draw alone."""
        options = {"match": self.spec.match, "seed": self.seed * 1_000_003 + draw}
        return load_detector(Named(name=self.spec.detector, options=options), self.plugins)

    def draw(self, targets: Detection, evidence: Evidence, number: int) -> Detection:
        """Return the neurons of one draw, row for row as many as the targets have."""
        return self.detector(number)(Evidence(evidence.sites, reference=targets))
