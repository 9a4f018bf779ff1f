"""Editions made concrete: the neurons of every target and control draw, and what an intervention does to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nharness.errors import during
from nharness.intervention import Change, Intervention, Target
from nharness.neurons import Detection
from nharness.run.cells import GENERAL, Edition
from nharness.run.controls import ControlSampler
from nharness.run.recorded import Recorded
from nharness.run.targets import choose_targets
from nharness.spec import RunSpec


@dataclass
class Prepared:
    """Which neurons each edition edits, worked out when first asked for."""

    spec: RunSpec
    recorded: Recorded
    detections: Mapping[str, Detection]
    interventions: Mapping[str, Intervention]
    sampler: ControlSampler
    _tables: dict[tuple[str, float | None, int | None], Detection] = field(default_factory=dict)

    def table(self, detector: str, budget: float | None, control: int | None = None) -> Detection:
        """Return the targets of a detection, one row each, or the same of one control draw."""
        key = (detector, budget, control)
        if key not in self._tables:
            if control is None:
                self._tables[key] = choose_targets(self.detections[detector], self.spec.kinds, budget)
            else:
                targets = self.table(detector, budget)
                with during(detector=detector, control=control):
                    self._tables[key] = self.sampler.draw(targets, self.recorded.evidence, control)
        return self._tables[key]

    def flat(self, edition: Edition) -> NDArray[np.int64]:
        """Return the neurons of an edition, ascending flat indices."""
        return self.table(edition.detector, edition.budget, edition.control).flat(edition.target)

    def changes(self, edition: Edition) -> tuple[Change, ...]:
        """Return what the edition's intervention does to its neurons; empty when there are none."""
        flat = self.flat(edition)
        if not len(flat):
            return ()
        table = self.table(edition.detector, edition.budget, edition.control)
        source = self.spec.source_language
        target = Target(
            language=edition.target, flat=flat,
            members=None if edition.target == GENERAL else table.membership, source=source,
            source_flat=table.flat(source) if source else None,
        )  # fmt: skip
        with during(intervention=edition.intervention, target=edition.target):
            return self.intervention(edition.intervention, edition.strength).changes(target, self.recorded.evidence)

    def intervention(self, name: str, strength: float | None) -> Intervention:
        """Return an intervention at one strength of its sweep, or as it was asked for."""
        base = self.interventions[name]
        if strength is None or base.strength_option is None:
            return base
        options = {**base.options.model_dump(), base.strength_option: strength}
        return type(base)(**options)
