"""What is known of detections beside what their neurons do: scores against truths, agreement of repeats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nharness.record.results import GroundTruth, Stability


@dataclass(frozen=True)
class Judged:
    """By detector; a detector without an entry was not judged."""

    truths: Mapping[str, tuple[GroundTruth, ...]] = field(default_factory=dict)
    stability: Mapping[str, tuple[Stability, ...]] = field(default_factory=dict)
