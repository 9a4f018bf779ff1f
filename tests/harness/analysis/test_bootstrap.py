"""The bootstrap against simulation (coverage), against brute force (one draw by hand), and against itself (p and interval)."""

import numpy as np
import pytest
from scipy import stats

from nharness.analysis.bootstrap import ClusterBootstrap, Totals, resampling_strata
from nharness.errors import OptionError, UsageError


def documents(rng, kind, size, repeats, effect=0.05):
    """Change and weight [size, repeats] of documents of unequal length whose noise falls with their length."""
    weight = rng.lognormal(5.5, 0.6, (size, repeats))
    noise = {
        "normal": lambda: rng.normal(0, 1, weight.shape),
        "skewed": lambda: (rng.gamma(2, 1, weight.shape) - 2) / np.sqrt(2),
        "heavy": lambda: rng.standard_t(4, weight.shape) / np.sqrt(2),
    }[kind]()
    return (effect + 0.3 * noise / np.sqrt(weight / 300)) * weight, weight


@pytest.mark.parametrize("kind", ["normal", "skewed", "heavy"])
@pytest.mark.parametrize("size", [20, 60, 200])
def test_95_percent_intervals_cover_93_to_97_percent(kind, size):
    change, weight = documents(np.random.default_rng(11), kind, size, 2000)
    found = ClusterBootstrap(Totals(change, weight), resamples=999, seed=1).intervals()
    covered = np.mean((found.low <= 0.05) & (found.high >= 0.05))
    assert 0.93 <= covered <= 0.97


@pytest.mark.parametrize(("size", "lost", "won"), [(100, 0.08, 0.02), (150, 0.25, 0.1), (400, 0.05, 0.05)])
def test_intervals_of_right_or_wrong_items_cover(size, lost, won):
    draw = np.random.default_rng(12).random((size, 2000))
    change = (draw < won).astype(float) - (draw > 1 - lost)
    found = ClusterBootstrap(Totals(change, np.ones_like(change)), resamples=999, seed=1, turn=1.0).intervals()
    assert 0.93 <= np.mean((found.low <= won - lost) & (found.high >= won - lost)) <= 0.975


def test_under_no_change_p_is_uniform():
    change, weight = documents(np.random.default_rng(13), "skewed", 40, 3000, effect=0.0)
    p = ClusterBootstrap(Totals(change, weight), resamples=999, seed=1).intervals().p
    assert 0.035 <= np.mean(p <= 0.05) <= 0.07
    assert 0.45 <= np.mean(p <= 0.5) <= 0.55


def test_joint_interval_of_a_selectivity_covers_and_pairs():
    # ten languages; the off-diagonal shares a large document effect with the diagonal, which pairing takes out
    rng = np.random.default_rng(14)
    inside, widths, alone = 0, [], []
    contrast = np.array([[1.0, 1.0], [-1.0, 0.0]])
    for _ in range(400):
        weight = rng.lognormal(5.5, 0.6, 40)
        shared = rng.normal(0, 0.3, 40)
        diagonal, other = 0.2 + shared + rng.normal(0, 0.1, 40), 0.1 + shared + rng.normal(0, 0.1, 40)
        totals = Totals(np.stack([diagonal * weight, other * weight], 1), np.stack([weight, weight], 1))
        found = ClusterBootstrap(totals, resamples=499, seed=2).intervals(contrast)
        inside += found.low[0] <= 0.1 <= found.high[0]
        widths.append(found.high[0] - found.low[0])
        alone.append(found.high[1] - found.low[1])
    assert 0.92 <= inside / 400 <= 0.98
    assert np.mean(widths) < 0.6 * np.mean(alone)


def test_p_and_interval_say_the_same():
    change, weight = documents(np.random.default_rng(15), "skewed", 30, 2000, effect=0.05)
    for level in (0.8, 0.95):
        found = ClusterBootstrap(Totals(change, weight), resamples=999, level=level).intervals()
        outside = (found.low > 0) | (found.high < 0)
        assert np.array_equal(outside, found.p <= 1 - level + 1e-12)


def test_estimate_and_error_are_the_ratio_and_its_linearised_error():
    change, weight = documents(np.random.default_rng(16), "normal", 25, 1)
    found = ClusterBootstrap(Totals(change, weight), resamples=199).intervals()
    theta = change.sum() / weight.sum()
    residual = change[:, 0] - theta * weight[:, 0]
    assert found.estimate[0] == pytest.approx(theta, rel=1e-12)
    assert found.standard_error[0] == pytest.approx(np.sqrt(25 / 24 * (residual**2).sum()) / weight.sum(), rel=1e-12)


def test_replicates_are_the_ratio_over_resampled_clusters():
    change, weight = documents(np.random.default_rng(17), "normal", 7, 2)
    resamples = ClusterBootstrap(Totals(change, weight), resamples=150, seed=3)
    counts = resamples._counts[0].astype(float)
    assert (counts.sum(axis=1) == 7).all()
    for draw in range(150):
        rows = np.repeat(np.arange(7), counts[draw].astype(int))
        expected = change[rows].sum(0) / weight[rows].sum(0)
        assert resamples.replicates[draw] == pytest.approx(expected, rel=1e-12)


def test_same_seed_same_numbers_other_seed_others():
    change, weight = documents(np.random.default_rng(18), "normal", 30, 3)
    first, again, other = (
        ClusterBootstrap(Totals(change, weight), resamples=199, seed=s).intervals() for s in (5, 5, 6)
    )
    assert np.array_equal(first.low, again.low)
    assert not np.array_equal(first.low, other.low)


def test_cells_that_share_no_cluster_are_drawn_apart():
    present = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]], dtype=bool)
    assert resampling_strata(present).tolist() == [0, 0, 0, 1, 1]
    change = np.where(present[:, [0, 2]], np.arange(1.0, 6.0)[:, None], 0.0)[[0, 1, 3, 4]]
    weight = present[:, [0, 2]].astype(float)[[0, 1, 3, 4]]
    resamples = ClusterBootstrap(Totals(change, weight), resamples=99)
    assert [counts.sum(axis=1).tolist() for counts in resamples._counts] == [[2] * 99, [2] * 99]


def test_scale_of_change_scales_interval_and_leaves_p():
    change, weight = documents(np.random.default_rng(19), "skewed", 30, 4)
    one = ClusterBootstrap(Totals(change, weight), resamples=299).intervals()
    hundred = ClusterBootstrap(Totals(100 * change, weight), resamples=299).intervals()
    assert hundred.low == pytest.approx(100 * one.low)
    assert hundred.p == pytest.approx(one.p)


def test_edges_no_change_constant_change_one_cluster():
    flat = ClusterBootstrap(Totals(np.array([[0.0, 2.0]] * 5), np.ones((5, 2))), resamples=99).intervals()
    assert flat.low.tolist() == flat.high.tolist() == [0.0, 2.0]
    assert flat.p.tolist() == [1.0, 0.01]
    single = ClusterBootstrap(Totals(np.array([[3.0]]), np.array([[2.0]])), resamples=99).intervals()
    assert single.estimate.tolist() == [1.5]
    assert np.isnan([single.low[0], single.high[0], single.p[0]]).all()
    assert single.withheld(0) == "1 cluster of items; an interval needs at least 5"


@pytest.mark.parametrize("kind", ["normal", "skewed", "heavy"])
@pytest.mark.parametrize("size", [5, 6, 8, 12, 19])
def test_small_samples_cover(kind, size):
    change, weight = documents(np.random.default_rng(11), kind, size, 2000)
    found = ClusterBootstrap(Totals(change, weight), resamples=999, seed=1).intervals()
    covered = np.mean((found.low <= 0.05) & (found.high >= 0.05))
    assert 0.93 <= covered <= 0.99
    student = stats.t.ppf(0.975, size - 1)
    assert (found.high - found.estimate >= student * found.standard_error * (1 - 1e-9)).all()
    sure = 2 * stats.t.sf(np.abs(found.estimate) / found.standard_error, size - 1)
    assert (found.p >= sure * (1 - 1e-9)).all()


def test_a_mean_over_languages_of_few_clusters_each_covers():
    rng, inside = np.random.default_rng(21), 0
    contrast = np.full((4, 1), 0.25)
    for _ in range(300):
        change, weight = np.zeros((24, 4)), np.zeros((24, 4))
        for column in range(4):
            rows = slice(6 * column, 6 * column + 6)
            c, w = documents(rng, "skewed", 6, 1)
            change[rows, column], weight[rows, column] = c[:, 0], w[:, 0]
        found = ClusterBootstrap(Totals(change, weight), resamples=499, seed=3).intervals(contrast)
        inside += found.low[0] <= 0.05 <= found.high[0]
    assert 0.92 <= inside / 300 <= 0.985


def test_a_draw_that_leaves_a_cell_empty_says_nothing_of_it():
    # 6 of the 60 clusters are in the second cell: 0.2 % of draws have none of them, each of which counted as T = 0
    rng = np.random.default_rng(22)
    weight = np.stack([np.ones(60), (np.arange(60) < 6).astype(float)], 1)
    change = weight * rng.normal(1, 1, (60, 2))
    resamples = ClusterBootstrap(Totals(change, weight), resamples=4999, seed=4)
    empty = (resamples._counts[0][:, :6].sum(axis=1) == 0).sum()
    assert empty > 0
    found = resamples.intervals()
    assert found.p[1] >= 1 / (5000 - empty)
    quantile, p = resamples._tail(np.array([[np.nan], [3.0], [1.0], [2.0]]), np.array([2.5]), np.array([np.nan]))
    assert (quantile.tolist(), p.tolist()) == ([3.0], [0.5])


def test_simultaneous_intervals_hold_at_once_and_are_wider():
    rng, once, all_ = np.random.default_rng(23), 0, 0
    contrasts = np.eye(12)
    for _ in range(200):
        change, weight = documents(rng, "skewed", 40, 12)
        resamples = ClusterBootstrap(Totals(change, weight), resamples=499, seed=5)
        alone, together = resamples.intervals(contrasts), resamples.simultaneous(contrasts)
        assert (together.high >= alone.high - 1e-12).all()
        assert (together.p >= alone.p).all()
        once += bool(((alone.low <= 0.05) & (alone.high >= 0.05)).all())
        all_ += bool(((together.low <= 0.05) & (together.high >= 0.05)).all())
    assert once / 200 < 0.75
    assert 0.91 <= all_ / 200 <= 0.985


def test_items_that_never_turned_still_have_a_width():
    none = Totals(np.zeros((50, 1)), np.ones((50, 1)))
    assert ClusterBootstrap(none, resamples=199).intervals().high[0] == 0
    smoothed = ClusterBootstrap(none, resamples=199, turn=1.0).intervals()
    assert smoothed.estimate[0] == 0
    assert 0.01 < smoothed.high[0] < 0.15


def test_errors_say_what_was_expected():
    good = Totals(np.ones((3, 1)), np.ones((3, 1)))
    with pytest.raises(OptionError, match="at least 99"):
        ClusterBootstrap(good, resamples=10)
    with pytest.raises(OptionError, match="between 0 and 1"):
        ClusterBootstrap(good, level=95)
    with pytest.raises(UsageError, match="NaN"):
        Totals(np.array([[np.nan]]), np.ones((1, 1)))
    with pytest.raises(UsageError, match="sum to more than 0"):
        Totals(np.zeros((2, 1)), np.zeros((2, 1)))
    with pytest.raises(UsageError, match=r"expected \[1, s\]"):
        ClusterBootstrap(good, resamples=99).intervals(np.ones((4, 1)))
