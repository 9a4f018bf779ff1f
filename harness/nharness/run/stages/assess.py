"""What is known of detections beside what their neurons do: scores against truths, agreement of repeats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nharness.record.results import GroundTruth
from nharness.run.context import RunContext
from nharness.run.stages.detect import Detected
from nharness.run.stages.ground_truth import score_detectors
from nharness.run.stages.repeats import Repeated, repeat_detection


@dataclass(frozen=True)
class Assessed:
    """Scores against truths by detector, one without an entry was not assessed; and detections repeated."""

    truths: Mapping[str, tuple[GroundTruth, ...]] = field(default_factory=dict)
    repeated: Repeated = field(default_factory=Repeated)


def assess(context: RunContext, detected: Mapping[str, Detected]) -> Assessed:
    """Return what is known of the detections, as far as it was asked for; nothing of a part, which writes no record."""
    if context.part:
        return Assessed()
    truths = score_detectors(context, detected) if context.spec.ground_truth else {}
    return Assessed(truths, repeat_detection(context, detected))
