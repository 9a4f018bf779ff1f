"""Dose-response points from measurements, and the area under them by hand."""

import pytest

from matrix_measurements import PPL, SETTINGS, matrix, targets
from narrowing import present
from nharness.analysis.control_effects import control_effects_of
from nharness.analysis.curves import area_under_budget, curve_point
from nharness.analysis.effects import effects_of
from nharness.analysis.measurements import by_key
from nharness.record.results import CurvePoint
from nharness.record.types import Estimate


def test_a_point_has_the_summary_s_numbers_and_the_draws_band():
    table, rows = by_key(matrix()), targets()
    effects = effects_of(PPL, rows, table, SETTINGS)
    controls = control_effects_of(effects, rows, table, list(table))
    found = curve_point(effects, rows, axis="budget", value=0.01, controls=controls)
    assert (found.task, found.axis, found.value, found.neurons) == ("ppl", "budget", 0.01, 20)
    own, others, selectivity = (present(each).value for each in (found.on_target, found.off_target, found.selectivity))
    assert selectivity == pytest.approx(own - others)
    band = present(found.controls)
    assert band.draws == 6
    assert band.low < band.mean < band.high < selectivity
    assert curve_point(effects, rows, axis="strength", value=-1.0).controls is None


def point(value, selectivity, task="ppl", axis="budget"):
    estimate = Estimate(value=selectivity) if selectivity is not None else None
    return CurvePoint(task=task, axis=axis, value=value, selectivity=estimate)


def test_area_is_the_mean_height_over_log_budget():
    points = [point(0.1, 3.0), point(0.001, 1.0), point(0.01, 1.0), point(0.5, 9.0, axis="strength"), point(1.0, None)]
    assert area_under_budget(points, "ppl") == pytest.approx((1.0 + 2.0) / 2)
    assert area_under_budget([point(0.1, 0.4), point(0.01, 0.4)], "ppl") == pytest.approx(0.4)
    assert area_under_budget(points[:1], "ppl") is None
    assert area_under_budget(points, "other") is None
