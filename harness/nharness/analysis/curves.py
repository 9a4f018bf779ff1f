"""Curves: selectivity over the number of neurons (budget) or the strength of the edit, and the area under one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from nharness.analysis.control_effects import ControlEffects
from nharness.analysis.effects import Effects
from nharness.analysis.rounding import known, rounded
from nharness.analysis.selectivity import drawn_selectivity, rows_of, summarise
from nharness.record.cells import Target, largest_targets
from nharness.record.results import CurveBand, CurvePoint


def curve_point(
    effects: Effects,
    targets: Sequence[Target],
    *,
    axis: Literal["budget", "strength"],
    value: float,
    controls: ControlEffects | None = None,
) -> CurvePoint:
    """Return one point: the means over rows, and the lowest, mean and highest selectivity of the draws, if any."""
    summary, digits = summarise(effects, targets), effects.settings.precision
    whole = largest_targets(targets)
    sizes = [target.neurons for target in targets if target.name in whole]
    found = drawn_selectivity(rows_of(effects, targets), controls) if controls is not None else None
    band = None
    if found is not None and found[1]:
        low, mean, high = (known(float(f(found[1])), digits) for f in (np.min, np.mean, np.max))
        band = CurveBand(draws=len(found[1]), low=low, mean=mean, high=high)
    return CurvePoint(
        task=effects.task.name,
        axis=axis,
        value=known(value, digits),
        neurons=round(float(np.mean(sizes))) if sizes else None,
        on_target=summary.on_target,
        off_target=summary.off_target,
        selectivity=summary.selectivity,
        controls=band,
    )


def area_under_budget(points: Sequence[CurvePoint], task: str, *, digits: int = 12) -> float | None:
    """Return the area under a task's selectivity over log10(budget) by trapezia, divided by the width of the curve.

    It is the mean selectivity over the range of budgets, in the task's unit. None with fewer than two different budgets
    that have a selectivity.
    """
    known_points = {
        point.value: point.selectivity.value
        for point in points
        if point.task == task and point.axis == "budget" and point.selectivity is not None and point.value > 0
    }
    if len(known_points) < 2:
        return None
    x = np.log10(sorted(known_points))
    y = np.array([known_points[value] for value in sorted(known_points)])
    return rounded(float(np.trapezoid(y, x) / (x[-1] - x[0])), digits)
