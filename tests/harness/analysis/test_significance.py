"""Single-cell tests against scipy, brute force and cases by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from narrowing import present
from nharness.analysis.significance import (
    Headroom,
    benjamini_hochberg,
    control_deviations,
    detectable_effect,
    empirical_p,
    mcnemar,
    room_flags,
)
from nharness.errors import UsageError


def test_mcnemar_by_hand():
    # 6 lost, 1 won: 2 * (1 + 7) / 2^7
    before = [1] * 6 + [0] + [1] * 10
    after = [0] * 6 + [1] + [1] * 10
    assert mcnemar(before, after) == pytest.approx(16 / 128)
    assert mcnemar(before, before) == 1.0
    with pytest.raises(UsageError, match="0 or 1"):
        mcnemar([0.5], [1.0])
    with pytest.raises(UsageError, match="paired"):
        mcnemar([1, 0], [1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_benjamini_hochberg_is_the_step_up_rule(p):
    q = benjamini_hochberg(p)
    size = len(p)
    for value, adjusted in zip(p, q, strict=True):
        brute = min(size * other / sum(x <= other for x in p) for other in p if other >= value)
        assert adjusted == pytest.approx(min(1.0, brute))


def test_benjamini_hochberg_leaves_failed_cells_out_of_the_count():
    q = benjamini_hochberg(np.array([[0.01, np.nan], [0.04, np.nan]]))
    assert q[:, 0] == pytest.approx([0.02, 0.04])
    assert np.isnan(q[:, 1]).all()
    assert np.isnan(benjamini_hochberg([np.nan])).all()


def test_rank_p_and_deviations():
    controls = [0.1, 0.2, 0.3, np.nan]
    assert empirical_p(0.5, controls) == 1 / 4
    assert empirical_p(0.2, controls) == 3 / 4
    assert empirical_p(0.2, []) == 1.0
    assert control_deviations(0.5, controls) == pytest.approx(3.0)
    assert control_deviations(0.5, [0.1]) is None
    assert control_deviations(0.5, [0.1, 0.1]) is None


def test_detectable_effect_is_found_with_the_power_promised():
    rng, size, sd = np.random.default_rng(41), 40, 2.0
    effect = present(detectable_effect(sd / np.sqrt(size), size))
    p = stats.ttest_1samp(rng.normal(effect, sd, (4000, size)), 0, axis=1).pvalue
    assert np.mean(p < 0.05) == pytest.approx(0.8, abs=0.02)
    assert detectable_effect(1.0, 1) is None
    assert detectable_effect(float("nan"), 10) is None


def test_room_flags():
    accuracy = Headroom(0.0, 1.0, 0.25)
    assert room_flags(0.28, 0.05, accuracy) == ("near_chance",)
    assert room_flags(0.97, 0.05, accuracy) == ("near_ceiling",)
    assert room_flags(0.6, 0.05, accuracy) == ()
    assert room_flags(0.02, 0.05, Headroom(0.0, 1.0, None)) == ("near_floor",)
    assert room_flags(1.2, 0.05, Headroom(0.0, None, None, higher_is_better=False)) == ()
    assert room_flags(0.28, None, accuracy) == ()
