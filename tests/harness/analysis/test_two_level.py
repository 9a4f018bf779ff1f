"""Intervals over text and detection: coverage of simulated two-level designs, ranks of equal detectors."""

import numpy as np
import pytest

from nharness.analysis.two_level import ranks_from_draws, scatter
from nharness.errors import UsageError


def design(rng, *, clusters, repeats, text, detection, both):
    """A detection on all of the text and R on folds of it, each with a value for every cluster; the truth is 0.

    text, detection: standard deviations of a cluster and of a fold; both: of what a fold does to a cluster alone.
    """
    a, b = rng.normal(0, text, clusters), rng.normal(0, detection, repeats)
    parts = a + b[:, None] + rng.normal(0, both, (repeats, clusters))
    return parts.mean(axis=0), parts


def drawn(rng, whole, parts, draws=399):
    counts = rng.multinomial(len(whole), np.full(len(whole), 1 / len(whole)), size=draws) / len(whole)
    return whole.mean(keepdims=True), (counts @ whole)[:, None], np.einsum("bc,rc->rb", counts, parts)[..., None]


@pytest.mark.parametrize(
    ("repeats", "text", "detection", "both"),
    [(4, 1.0, 0.3, 0.2), (5, 0.5, 0.5, 0.2), (5, 1.0, 0.0, 0.5), (8, 0.2, 0.5, 0.5)],
)
def test_intervals_of_two_levels_cover(repeats, text, detection, both):
    rng, inside = np.random.default_rng(71), 0
    for _ in range(600):
        whole, parts = design(rng, clusters=40, repeats=repeats, text=text, detection=detection, both=both)
        found = scatter(*drawn(rng, whole, parts), clusters=40, seed=int(rng.integers(1 << 30)))
        inside += abs(whole.mean()) <= found.half_width()[0]
    assert 0.93 <= inside / 600 <= 0.975


def test_without_the_detection_the_interval_is_too_narrow():
    rng, inside = np.random.default_rng(72), 0
    for _ in range(300):
        whole, parts = design(rng, clusters=40, repeats=5, text=0.5, detection=0.5, both=0.2)
        value, own, _ = drawn(rng, whole, parts)
        inside += abs(whole.mean()) <= scatter(value, own, clusters=40).half_width()[0]
    assert inside / 300 < 0.75


def test_resampled_repeats_vary_as_the_detection_does():
    rng = np.random.default_rng(73)
    parts = rng.normal(0, 1, (6, 1)) + np.zeros((6, 40))
    value, own, repeats = drawn(rng, np.zeros(40), parts)
    folds, resampled = (
        scatter(value, own, repeats, clusters=40, design=kind).standard_error[0] for kind in ("folds", "resampled")
    )
    assert resampled == pytest.approx(folds * np.sqrt(6))
    assert resampled == pytest.approx(parts[:, 0].std(ddof=1), rel=0.15)
    with pytest.raises(UsageError, match="2 repeats"):
        scatter(value, own, repeats[:1], clusters=40)


@pytest.mark.parametrize("repeats", [0, 5])
def test_fifteen_equal_detectors_are_seldom_told_apart(repeats):
    rng, split = np.random.default_rng(74), 0
    for _ in range(100):
        page = rng.normal(0, 1, (40, 1))
        folds = rng.normal(0, 0.2, (max(repeats, 1), 1, 15))
        parts = page + folds + rng.normal(0, 0.3, (max(repeats, 1), 40, 15))
        whole = parts.mean(axis=0) if repeats else parts[0] - folds[0]
        counts = rng.multinomial(40, np.full(40, 1 / 40), size=399) / 40
        each = np.einsum("bc,rcs->rbs", counts, parts) if repeats else None
        found = scatter(whole.mean(axis=0), counts @ whole, each, clusters=40)
        split += any(rank != (1, 15) for rank in ranks_from_draws(whole.mean(axis=0), found))
    assert split / 100 <= 0.06


def test_what_differs_is_ranked():
    rng = np.random.default_rng(75)
    whole = rng.normal(0, 0.1, (40, 3)) + np.array([1.0, 0.0, 0.0])
    counts = rng.multinomial(40, np.full(40, 1 / 40), size=399) / 40
    found = scatter(whole.mean(axis=0), counts @ whole, clusters=40)
    assert ranks_from_draws(whole.mean(axis=0), found) == [(1, 1), (2, 3), (2, 3)]
