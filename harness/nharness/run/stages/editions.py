"""Editions made concrete: the neurons of every target and control draw, and what an intervention does to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nharness.cells import Edition
from nharness.errors import CellError, during
from nharness.intervention import AnyChange, Intervention, Target
from nharness.neurons import Detection
from nharness.run.context import RunContext
from nharness.run.stages.controls import ControlSampler
from nharness.run.stages.detect import Detections
from nharness.run.stages.record import Recorded
from nharness.run.stages.targets import best_share, choose_targets, without
from nharness.spec import RunSpec
from nharness.targets import GENERAL, RungName, rung_of, whose


@dataclass(frozen=True)
class Editions:
    """Which neurons each edition edits, worked out when first asked for.

    failed: detectors without any, and why. repeats: by detector, its detections on other text.
    """

    spec: RunSpec
    recorded: Recorded
    detections: Mapping[str, Detection]
    interventions: Mapping[str, Intervention]
    sampler: ControlSampler
    failed: Mapping[str, str] = field(default_factory=dict)
    repeats: Mapping[str, Sequence[Detection]] = field(default_factory=dict, repr=False)
    _tables: dict[tuple[str, float | None, int | None, float], Detection] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        context: RunContext,
        recorded: Recorded,
        detected: Detections,
        repeats: Mapping[str, Sequence[Detection]],
    ) -> Editions:
        """Return the editions of a run's detections."""
        sampler = ControlSampler(context.spec.controls, context.spec.seed, context.plugins)
        detections = {name: found.detection for name, found in detected.found.items()}
        interventions = context.resolved.interventions
        return cls(context.spec, recorded, detections, interventions, sampler, detected.failed, repeats)

    def table(
        self, detector: str, budget: float | None, control: int | None = None, *, share: float = 1.0
    ) -> Detection:
        """Return the targets of a detection, one row per language, or the same of one control draw.

        share: of each language's neurons, the best by the detector's scores; draws are matched to that many.
        """
        key = (detector, budget, control, share)
        if key not in self._tables:
            detection = self.detections[detector]
            if control is None:
                targets = choose_targets(detection, self.spec.kinds, budget)
                self._tables[key] = targets if share == 1 else best_share(targets, detection, share)
            else:
                targets = self.table(detector, budget, share=share)
                with during(detector=detector, control=control):
                    self._tables[key] = self.sampler.draw(targets, self.recorded.evidence, control)
        return self._tables[key]

    def rung(self, detector: str, rung: RungName, control: int | None = None) -> Detection:
        """Return the neurons of a rung, for every language as many, or one control draw as many."""
        whole = self.detections[detector] if rung.repeat is None else self.repeats[detector][rung.repeat]
        targets = whole.strongest(rung.units)
        if rung.without is not None:
            targets = without(targets, rung.without)
        if control is None:
            return targets
        with during(detector=detector, control=control):
            return self.sampler.draw(targets, self.recorded.evidence, control)

    def neurons(
        self, detector: str, budget: float | None, target: str, control: int | None = None
    ) -> NDArray[np.int64]:
        """Return the neurons of a target or of one draw for it, ascending flat indices."""
        return self._rows(detector, budget, target, control).flat(whose(target)[0])

    def _rows(self, detector: str, budget: float | None, target: str, control: int | None) -> Detection:
        rung = rung_of(target)
        if rung is not None:
            return self.rung(detector, rung, control)
        return self.table(detector, budget, control, share=whose(target)[1])

    def changes(self, edition: Edition) -> tuple[AnyChange, ...]:
        """Return what the edition's intervention does to its neurons; empty when there are none.

        Raises `CellError` when its detector failed.
        """
        if edition.detector in self.failed:
            raise CellError(self.failed[edition.detector])
        flat = self.neurons(edition.detector, edition.budget, edition.target, edition.control)
        if not len(flat):
            return ()
        name, _ = whose(edition.target)
        table = self._rows(edition.detector, edition.budget, edition.target, edition.control)
        source = self.spec.source_language
        target = Target(
            language=name,
            flat=flat,
            members=None if name == GENERAL else table.membership,
            source=source,
            source_flat=table.flat(source) if source else None,
        )
        with during(intervention=edition.intervention, target=edition.target):
            return self.intervention(edition.intervention, edition.strength).changes(target, self.recorded.evidence)

    def intervention(self, name: str, strength: float | None) -> Intervention:
        """Return an intervention at one strength of its sweep, or as it was asked for."""
        base = self.interventions[name]
        if strength is None or base.strength_option is None:
            return base
        options = {**base.options.model_dump(), base.strength_option: strength}
        return type(base)(**options)
