"""The dose-response of a run that was made at several budgets or strengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from nharness.analysis.control_effects import control_effects_of
from nharness.analysis.curves import curve_point
from nharness.analysis.effects import effects_of
from nharness.analysis.measurements import by_key
from nharness.record.results import CurvePoint

if TYPE_CHECKING:
    from nharness.run.results.writer import Combination, RecordWriter


def dose_response(writer: RecordWriter, combinations: Sequence[Combination]) -> list[tuple[Combination, CurvePoint]]:
    """Return a point per task and combination where budget or strength was varied; nothing where neither was."""
    budgets = {combination.budget for combination in combinations}
    strengths = {combination.strength for combination in combinations}
    if len(budgets) < 2 and len(strengths) < 2:
        return []
    points = []
    for combination in combinations:
        measurements, failures = writer.measured(combination)
        table, targets = by_key(measurements), writer.targets(combination)
        tried = sorted({*table, *(failure.key for failure in failures)}, key=repr)
        axis: Literal["budget", "strength"] = "budget" if len(budgets) > 1 else "strength"
        value = combination.budget if axis == "budget" else combination.strength
        for task in writer.tasks:
            effects = effects_of(task, targets, table, writer.settings)
            controls = control_effects_of(effects, targets, table, tried)
            point = curve_point(effects, targets, axis=axis, value=float(value or 0), controls=controls)
            points.append((combination, point))
    return points
