"""The detection stage of a run: every detector on the evidence; kept by statistics, detector and options."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from nharness.detector import Detector
from nharness.errors import during
from nharness.events import Listener, Noted, StageFinished
from nharness.neurons import KINDS, Detection
from nharness.run.stages.record import Recorded


@dataclass(frozen=True)
class Detected:
    """A detection and how long it took in seconds."""

    detection: Detection
    seconds: float


def detect(detectors: Mapping[str, Detector], recorded: Recorded, listen: Listener) -> dict[str, Detected]:
    """Return every detector's result by name; an error names its detector, and so does what it warns of."""
    found = {}
    for name, detector in detectors.items():
        started = time.perf_counter()
        with during(detector=name), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            detection = detector(recorded.evidence)
        for each in caught:
            listen(Noted("warning", f"{name}: {each.message}"))
        seconds = time.perf_counter() - started
        found[name] = Detected(detection, seconds)
        counts = detection.membership.sum(axis=1)
        shared = KINDS.index("specific")
        summary = (
            f"{int(detection.membership.any(axis=0).sum())} of {detection.size} neurons, {counts.min()} to "
            f"{counts.max()} a language, {int((detection.kinds() == shared).sum())} specific"
        )
        listen(StageFinished(f"detect {name}", seconds, reused=False, summary=summary))
    return found
