"""Whether a dose-response curve agrees with records: each point is the summary of the record measured at that dose."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from nharness.record.model import Record
from nharness.record.problems import Problem
from nharness.record.results import CurvePoint, TaskSummary
from nharness.record.types import Estimate
from nharness_leaderboard.ties import comparable_key

_HARMS = ("on_target", "off_target", "selectivity")


def curve_problems(record: Record, others: Iterable[Record], *, whole: bool) -> Iterator[Problem]:
    """Yield every point of a record's curve that differs from the summary of the record at its dose.

    others: where to look for that record, the record itself included. whole: a point that none of them shows is a
        problem too, for it cannot be recomputed.
    """
    everyone = list(others)
    for index, point in enumerate(record.curve):
        summary = _measured(point, record, everyone)
        if summary is not None:
            yield from _differences(f"/curve/{index}", point, summary)
        elif whole:
            where = f"{point.axis} {point.value:g}"
            yield Problem(
                f"/curve/{index}", f"no record here was measured at {where}; publish all records of a curve together"
            )


def with_points(record: Record, others: Iterable[Record]) -> Record:
    """Return the record under a new id, its curve's points taken from the records measured at each dose.

    A point at whose dose no other record was measured is left unchanged.
    """
    everyone = list(others)
    curve = tuple(_renewed(point, _measured(point, record, everyone)) for point in record.curve)
    return record if curve == record.curve else record.model_copy(update={"curve": curve}).with_id()


def _renewed(point: CurvePoint, summary: TaskSummary | None) -> CurvePoint:
    return point if summary is None else point.model_copy(update={name: getattr(summary, name) for name in _HARMS})


def _measured(point: CurvePoint, record: Record, others: Iterable[Record]) -> TaskSummary | None:
    """Return the summary of the record measured at a point's dose; None if it is not among the others."""
    asked = _asked(record)
    found = next((other for other in others if _asked(other) == asked and _at(other, record, point)), None)
    return found.summary_of(point.task) if found else None


def _asked(record: Record) -> tuple[object, ...]:
    """Return what the records of one curve have in common."""
    detector = record.detector
    return (
        record.model.fingerprint,
        record.neurons.component,
        record.corpus.fingerprint,
        detector.name,
        detector.version,
        detector.options,
        record.selection.kinds,
        record.shares,
        record.intervention.name,
        record.intervention.scope,
    )


def _at(other: Record, record: Record, point: CurvePoint) -> bool:
    """Tell whether a record was measured at the point's dose, on the same text, and is otherwise the same."""
    doses, own = ((each.selection.budget, each.intervention.strength) for each in (other, record))
    varied, kept = (0, 1) if point.axis == "budget" else (1, 0)
    return (
        math.isclose(doses[varied] or 0.0, point.value, rel_tol=1e-9)
        and doses[kept] == own[kept]
        and comparable_key(other, point.task) == comparable_key(record, point.task)
    )


def _differences(where: str, point: CurvePoint, summary: TaskSummary) -> Iterator[Problem]:
    for name in _HARMS:
        if not _close(_numbers(getattr(point, name)), _numbers(getattr(summary, name))):
            yield Problem(f"{where}/{name}", "differs from the summary of the record measured at this dose")
    band, control = point.controls, summary.control_selectivity
    if band is not None and (control is None or not _close([band.draws, band.mean], [control.draws, control.mean])):
        yield Problem(f"{where}/controls", "differs from the random neurons of the record measured at this dose")


def _numbers(estimate: Estimate | None) -> list[float]:
    return [] if estimate is None else [estimate.value, *(estimate.interval or ())]


def _close(one: list[float], other: list[float]) -> bool:
    return len(one) == len(other) and all(
        math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9) for a, b in zip(one, other, strict=True)
    )
