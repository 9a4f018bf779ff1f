"""Stages of profiles whose borders are known, and of profiles that have none."""

from collections import Counter

import numpy as np
import pytest

from narrowing import present
from nharness.analysis.structure.stages import explained, profile_of, split, stages

WIDTHS = (1536,) * 30
LEVELS = np.array([[0.30, 0.02, 0.12, 0.25], [0.05, 0.25, 0.10, 0.20], [0.02, 0.10, 0.30, 0.05]])


def drawn(levels, borders, rng, *, scatter=0.15):
    """Counts [3, L] of stages with these shares [3, S], layers scattering more than counts alone do."""
    lengths = np.diff([0, *borders, len(WIDTHS)])
    shares = np.repeat(levels, lengths, axis=1) * rng.lognormal(0, scatter, size=(3, len(WIDTHS)))
    return rng.binomial(WIDTHS[0], np.clip(shares, 0, 1))


def found_stages(counts, seed=0):
    return present(stages(counts, WIDTHS, seed=seed))


@pytest.mark.parametrize("borders", [(6, 14, 24), (3, 15, 27), (8, 16, 22)])
def test_known_borders_are_found_within_one_layer(borders):
    for seed in range(20):
        found = found_stages(drawn(LEVELS, borders, np.random.default_rng(seed)), seed)
        assert found.found
        assert found.best == "4 stages"
        assert all(abs(got.layer - true) <= 1 for got, true in zip(found.borders, borders, strict=True))
        assert all(got.interval[0] <= got.layer <= got.interval[1] for got in found.borders)
        assert all(got.certainty > 0.9 for got in found.borders)


def test_a_flat_profile_has_no_borders():
    called = Counter()
    for seed in range(100):
        found = found_stages(drawn(LEVELS[:, :1], (), np.random.default_rng(seed)), seed)
        assert (found.found, found.borders) == (False, ())
        called[found.best] += 1
    assert called["1 stage"] >= 97


@pytest.mark.parametrize("number", [2, 3])
def test_fewer_stages_are_not_four(number):
    borders = (10, 20)[: number - 1]
    for seed in range(20):
        found = found_stages(drawn(LEVELS[:, :number], borders, np.random.default_rng(seed)), seed)
        assert (found.found, found.best) == (False, f"{number} stages")


def test_a_profile_that_rises_steadily_has_no_stages():
    rng = np.random.default_rng(0)
    turned = np.outer([0.5, 0.3, -0.2], np.linspace(0, 1, 30)) + np.array([[0.1], [0.2], [0.4]])
    counts = rng.binomial(WIDTHS[0], np.sin(turned) ** 2)
    assert found_stages(counts).best == "a straight line"


def test_the_split_is_the_best_of_all():
    rng = np.random.default_rng(5)
    profile = rng.random((11, 2))

    def residuals(borders):
        return sum(((part - part.mean(axis=0)) ** 2).sum() for part in np.split(profile, borders))

    all_splits = [(i, j) for i in range(2, 8) for j in range(i + 2, 10)]
    assert split(profile, 3) == min(all_splits, key=residuals)


def test_a_border_that_is_hardly_there_is_not_certain():
    levels = LEVELS.copy()
    levels[:, 2] = levels[:, 1] * 1.12
    found = found_stages(drawn(levels, (6, 15, 24), np.random.default_rng(2), scatter=0.03))
    assert found.found
    assert found.borders[1].certainty < found.borders[2].certainty


def test_kinds_that_no_layer_has_more_of_say_nothing_and_equal_layers_are_one_stage():
    counts = np.full((3, 30), 7)
    assert profile_of(counts, WIDTHS).shape == (30, 0)
    assert explained(profile_of(counts, WIDTHS), WIDTHS)["1 stage"] == 0
    assert found_stages(counts).best == "1 stage"


def test_a_shallow_model_is_not_judged():
    assert stages(np.ones((3, 7), dtype=int), (8,) * 7, seed=0) is None
