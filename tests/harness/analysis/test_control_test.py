"""The test against random controls: error rates under the null, power, a case by hand, and what cannot be computed."""

import numpy as np
import pytest
from scipy import stats

import null_matrices
from nharness.analysis.control_test import control_test
from nharness.analysis.significance import benjamini_hochberg
from nharness.errors import UsageError


def rates(pairs):
    """Share of cells with p < 0.05, and share of matrices with any cell significant after correction."""
    found = [control_test(effect, controls).p for effect, controls in pairs]
    return np.mean([p < 0.05 for p in found]), np.mean([(benjamini_hochberg(p) < 0.05).any() for p in found])


@pytest.mark.parametrize("draws", [5, 20])
def test_random_detector_against_random_controls_over_200_matrices(draws):
    cells, significant = rates(null_matrices.matrices(21, 200, draws=draws))
    assert 0.03 <= cells <= 0.07
    assert significant <= 0.07


def test_heavy_tails_are_held_back_by_the_draws_own_tail():
    pairs = list(null_matrices.matrices(22, 200, heavy=True))
    cells, significant = rates(pairs)
    plain = [stats_p(effect, controls) for effect, controls in pairs]
    naive = np.mean([(benjamini_hochberg(p) < 0.05).any() for p in plain])
    assert 0.03 <= cells <= 0.07
    assert naive > 0.3  # what an uncalibrated t would claim
    assert significant <= 0.1  # 0.066 of 800 such matrices


def stats_p(effect, controls):
    n = controls.shape[1]
    t = (effect - controls.mean(1)) / (controls.std(1, ddof=1) * np.sqrt(1 + 1 / n))
    return 2 * stats.t.sf(np.abs(t), n - 1)


def test_real_effects_are_found_with_five_and_with_twenty_draws():
    diagonal = np.eye(8, dtype=bool)
    for draws, deviations in ((5, 12), (20, 6)):
        power = []
        for effect, controls in null_matrices.matrices(23, 30, draws=draws):
            shifted = effect + np.where(diagonal, deviations * controls.std(axis=1, ddof=1), 0.0)
            power.append((benjamini_hochberg(control_test(shifted, controls).p) < 0.05)[diagonal].mean())
        assert np.mean(power) > 0.8


def test_by_hand():
    effect, controls = np.array([[7.0]]), np.array([[[1.0], [2.0], [3.0]]])
    found = control_test(effect, controls)
    assert (found.draws[0, 0], found.mean[0, 0], found.sd[0, 0]) == (3, 2.0, 1.0)
    assert found.t[0, 0] == pytest.approx(5 / np.sqrt(4 / 3))
    # three draws leave out one each: ordinary ones, so that p is the t's own
    assert found.p[0, 0] == pytest.approx(2 * stats.t.sf(5 / np.sqrt(4 / 3), 2))


def test_left_out_draws_are_tested_as_if_they_were_the_detection():
    rng = np.random.default_rng(24)
    controls = rng.normal(size=(3, 6, 2))
    from nharness.analysis import control_test as module

    centred = controls - controls.mean(1, keepdims=True)
    found = module._residuals(centred, (centred**2).sum(1), np.ones(controls.shape, dtype=bool))
    expected = []
    for row, draw, column in np.ndindex(controls.shape):
        rest = np.delete(controls[row, :, column], draw)
        t = (controls[row, draw, column] - rest.mean()) / (rest.std(ddof=1) * np.sqrt(1 + 1 / 5))
        expected.append(2 * stats.t.sf(abs(t), 4))
    assert found.p == pytest.approx(np.array(expected))
    assert set(found.sizes) == {6}
    assert found.source.tolist() == [6 * row + draw for row, draw, _ in np.ndindex(controls.shape)]


def test_units_and_shifts_do_not_matter():
    effect, controls = next(null_matrices.matrices(25, 1))
    first, other = control_test(effect, controls), control_test(3 - 10 * effect, 3 - 10 * controls)
    assert other.p == pytest.approx(first.p)
    assert other.t == pytest.approx(-first.t)


def test_absent_draws_are_left_out_cell_by_cell():
    effect, controls = next(null_matrices.matrices(26, 1))
    controls[2, 12:, 3] = np.nan
    found = control_test(effect, controls)
    assert found.draws[2, 3] == 12
    assert found.mean[2, 3] == pytest.approx(controls[2, :12, 3].mean())
    assert not np.isnan(found.p).any()


def test_what_cannot_be_computed_is_nan_and_says_nothing_of_others():
    effect = np.array([[1.0, np.nan, 1.0, 0.0]])
    controls = np.full((1, 3, 4), 0.0)
    controls[0, :, :2] = [[0.0], [0.1], [0.3]]
    controls[0, 2, 0] = np.nan
    found = control_test(effect, controls)
    assert np.isnan(found.p[0, :3]).all()  # two draws; failed; draws that do not differ
    assert found.p[0, 3] == 1.0
    assert np.isnan(control_test(effect, np.full((1, 0, 4), np.nan)).p).all()
    with pytest.raises(UsageError, match=r"expected \[T, G\]"):
        control_test(effect, controls[0])


def test_null_rate_shows_heavy_tails():
    light = np.mean([control_test(*pair).null_rate for pair in null_matrices.matrices(27, 20, neuron=5.0)])
    heavy = np.mean([control_test(*pair).null_rate for pair in null_matrices.matrices(27, 20, heavy=True)])
    assert 0.04 < light < 0.06
    assert heavy > light
