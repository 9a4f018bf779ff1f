"""Stopping when an interval is narrow: simulated coverage, and the plan's mechanics."""

import itertools

import numpy as np
import pytest
from scipy import stats

from nharness.analysis.bootstrap import ClusterBootstrap, Totals
from nharness.analysis.sequential import Precision, evaluation_order, look
from nharness.errors import OptionError, UsageError

EFFECT, AVAILABLE = 0.05, 700


def run(change, weight, rule):
    """Follow one cell to its stop; return the clusters it saw and the last progress."""
    seen = 0
    while True:
        at = look(change[:seen], weight[:seen], len(change), rule)
        if at.stop:
            return seen, at
        assert at.wanted > seen
        seen = at.wanted


def simulate(kind, spread, repeats, seed):
    rng = np.random.default_rng(seed)
    weight = rng.lognormal(5.5, 0.6, (repeats, AVAILABLE))
    noise = rng.normal(0, 1, weight.shape) if kind == "normal" else (rng.gamma(2, 1, weight.shape) - 2) / np.sqrt(2)
    return (EFFECT + spread * noise / np.sqrt(weight / 300)) * weight, weight


@pytest.mark.parametrize("kind", ["normal", "skewed"])
@pytest.mark.parametrize("spread", [0.04, 0.08])
def test_stopped_intervals_cover_93_to_97_percent(kind, spread):
    change, weight = simulate(kind, spread, 1500, seed=51)
    rule, inside, sizes = Precision(0.01), [], []
    for x, y in zip(change, weight, strict=True):
        seen, at = run(x, y, rule)
        inside.append(abs(x[:seen].sum() / y[:seen].sum() - EFFECT) <= rule.half_width)
        sizes.append(seen)
        assert at.half_width <= rule.half_width
    assert 0.93 <= np.mean(inside) <= 0.97
    assert np.mean(sizes) < AVAILABLE / 2


def test_the_bootstrap_interval_of_a_stopped_cell_covers():
    change, weight = simulate("skewed", 0.05, 400, seed=52)
    inside = 0
    for x, y in zip(change, weight, strict=True):
        seen, _ = run(x, y, Precision(0.01))
        found = ClusterBootstrap(Totals(x[:seen, None], y[:seen, None]), resamples=399, seed=1).intervals()
        inside += found.low[0] <= EFFECT <= found.high[0]
    assert 0.91 <= inside / 400 <= 0.98


def test_easy_cells_stop_at_the_fewest_and_hard_ones_see_everything():
    change, weight = simulate("normal", 0.001, 1, seed=53)
    assert run(change[0], weight[0], Precision(0.01))[0] == 30
    seen, at = run(1000 * change[0], weight[0], Precision(0.01))
    assert seen == AVAILABLE
    assert at.half_width > 0.01


def test_half_width_by_hand():
    change, weight = np.array([1.0, 2.0, 4.0]), np.ones(3)
    residual = change - 7 / 3
    skewness = (residual**3).mean() / (residual**2).mean() ** 1.5
    variance = 3 / 2 * (residual**2).sum() / 9
    expected = stats.t.ppf(0.975, 2) * np.sqrt(variance * (1 + (4 + 4 * skewness**2) / 3))
    assert look(change, weight, 100, Precision()).half_width == pytest.approx(expected)


def test_order_is_fixed_shuffled_and_keeps_clusters_whole():
    clusters = [f"page-{i // 3}" for i in range(90)]
    order = evaluation_order(clusters, seed=1)
    assert sorted(order) == list(range(90))
    assert order == evaluation_order(clusters, seed=1) != evaluation_order(clusters, seed=2)
    visited = [clusters[place] for place in order]
    assert sum(a != b for a, b in itertools.pairwise(visited)) == 29
    # an item's rank does not depend on which other clusters there are
    fewer = [visited[i] for i in range(0, 90, 3)][:10]
    assert [fewer[i] for i in evaluation_order(fewer, seed=1)] == fewer


def test_wrong_input_is_refused():
    with pytest.raises(OptionError, match="above 0"):
        Precision(0.0)
    with pytest.raises(OptionError, match="at least 10"):
        Precision(fewest=3)
    with pytest.raises(UsageError, match="at most 2"):
        look([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], 2, Precision())
