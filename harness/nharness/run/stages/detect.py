"""The detection stage of a run: every detector on the evidence, each apart from the others."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from nharness.detector import Detector
from nharness.errors import NharnessError, during
from nharness.events import Listener, Noted, StageFinished
from nharness.neurons import KINDS, Detection
from nharness.run.context import RunContext
from nharness.run.stages.record import Recorded


@dataclass(frozen=True)
class Detected:
    """A detection and how long it took in seconds."""

    detection: Detection
    seconds: float


@dataclass(frozen=True)
class Detections:
    """What the detectors found, by name, and in a sentence why there is nothing of those that failed."""

    found: Mapping[str, Detected]
    failed: Mapping[str, str]


def detect(context: RunContext, recorded: Recorded) -> Detections:
    """Return every detector's result; one that fails is reported and left out; warnings of detectors are reported.

    Raises the first detector's error when all of them fail.
    """
    found: dict[str, Detected] = {}
    failed: dict[str, NharnessError] = {}
    for name, detector in context.resolved.detectors.items():
        try:
            found[name] = _timed(name, detector, recorded, context.listen)
        except NharnessError as error:
            failed[name] = error
    if not found:
        raise next(iter(failed.values()))
    for reason in failed.values():
        context.listen(Noted("warning", f"{reason}; its cells fail, the rest goes on"))
    _tell_short(context, found)
    return Detections(found, {name: str(error) for name, error in failed.items()})


def _timed(name: str, detector: Detector, recorded: Recorded, listen: Listener) -> Detected:
    started = time.perf_counter()
    with during(detector=name), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        detection = detector(recorded.evidence)
    for each in caught:
        listen(Noted("warning", f"{name}: {each.message}"))
    seconds = time.perf_counter() - started
    counts = detection.membership.sum(axis=1)
    shared = KINDS.index("specific")
    summary = (
        f"{int(detection.membership.any(axis=0).sum())} of {detection.size} neurons, {counts.min()} to "
        f"{counts.max()} a language, {int((detection.kinds() == shared).sum())} specific"
    )
    listen(StageFinished(f"detect {name}", seconds, reused=False, summary=summary))
    return Detected(detection, seconds)


def _tell_short(context: RunContext, detected: Mapping[str, Detected]) -> None:
    """Warn of every language whose detection has fewer neurons than a budget asks for."""
    spec = context.spec
    budgets = spec.budget_curve or ((spec.budget,) if spec.budget is not None else ())
    for name, found in detected.items():
        for budget in budgets:
            short = found.detection.cut(budget).short
            asked = next(iter(short.values()), (0, 0))[0]
            few = ", ".join(f"{tag} has {got}" for tag, (_, got) in short.items())
            if short:
                text = f"{name}: {few} of the {asked} neurons that a budget of {budget:g} asks for"
                context.listen(Noted("warning", text))
