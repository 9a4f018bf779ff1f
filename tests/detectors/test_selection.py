"""Bars, entropies, contrasts and cuts against loops."""

import math

import numpy as np
import pytest

from nharness_detectors.selection import (
    activation_bar,
    blocks,
    contrast,
    entropy,
    highest,
    highest_of_each,
    kind_counts,
    lowest,
    ordered_sum,
    share_count,
    z_scores,
)


@pytest.fixture
def weights():
    random = np.random.default_rng(3)
    values = random.integers(0, 6, (5, 401)) / 10
    values[:, ::7] = 0
    return values


def test_entropy_is_the_formula_bit_for_bit(weights):
    expected = np.empty(weights.shape[1])
    for neuron, row in enumerate(weights.T):
        ordered = sorted(row)
        total = 0.0
        for value in ordered:
            total += value
        result = 0.0
        for value in ordered:
            share = value / total if total > 0 else 0.0
            result += share * float(np.log(np.float64(share))) if share > 0 else 0.0
        expected[neuron] = -result + 0.0
    assert entropy(weights).tobytes() == expected.tobytes()


def test_entropy_agrees_with_exact_summation(weights):
    for neuron, row in enumerate(weights.T):
        total = math.fsum(row)
        terms = [value / total * math.log(value / total) for value in row if value > 0]
        assert entropy(weights)[neuron] == pytest.approx(-math.fsum(terms), abs=1e-14)


def test_entropy_with_a_floor_counts_an_empty_row_as_uniform():
    result = entropy(np.array([[0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]), floor=1e-12)
    assert result[0] == pytest.approx(math.log(3), abs=1e-12)
    assert 0 < result[1] < 1e-9


@pytest.mark.parametrize("function", [entropy, ordered_sum])
def test_order_of_languages_changes_no_bit(weights, function):
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(weights))
        assert function(weights[order]).tobytes() == function(weights).tobytes()


@pytest.mark.parametrize("function", [contrast, z_scores])
def test_rows_follow_the_order_of_languages_to_the_bit(function):
    values = np.random.default_rng(1).standard_normal((7, 300))
    order = np.random.default_rng(2).permutation(7)
    assert function(values[order]).tobytes() == function(values)[order].tobytes()


def test_contrast_and_z_scores_by_hand():
    values = np.array([[1.0, 2.0], [2.0, 2.0], [6.0, 2.0]])
    assert contrast(values)[:, 0] == pytest.approx([1 - 4, 2 - 3.5, 6 - 1.5])
    deviation = math.sqrt((4 + 1 + 9) / 3)
    assert z_scores(values)[:, 0] == pytest.approx([-2 / deviation, -1 / deviation, 3 / deviation])
    assert z_scores(values)[:, 1].tolist() == [0, 0, 0]


def test_bar_is_the_kth_smallest_of_all_values():
    values = np.random.default_rng(0).random((5, 401))  # 0.95 * 2005 is no whole number
    ordered = sorted(values.ravel())
    for share in (0.0, 0.01, 0.5, 0.95, 1.0):
        assert activation_bar(values, share) == ordered[max(1, round(share * len(ordered))) - 1]


@pytest.mark.parametrize("count", [0, 1, 7, 50, 400, 1000])
def test_cut_takes_ties_in_flat_order(weights, count):
    score = weights[0].copy()
    score[::11] = np.inf
    score[5] = np.nan
    ranked = sorted((value, index) for index, value in enumerate(score) if np.isfinite(value))
    expected = sorted(index for _, index in ranked[:count])
    assert np.flatnonzero(lowest(score, count)).tolist() == expected
    ranked = sorted((-value, index) for index, value in enumerate(score) if np.isfinite(value))
    assert np.flatnonzero(highest(score, count)).tolist() == sorted(index for _, index in ranked[:count])


def test_share_of_each_language_among_candidates():
    score = np.array([[3.0, 2.0, 1.0, 0.0], [0.0, 1.0, 2.0, 3.0]])
    allowed = np.array([[False, True, True, True], [True, True, True, False]])
    assert highest_of_each(score, 0.25, allowed).tolist() == [[False, True, False, False], [False, False, True, False]]
    assert highest_of_each(score, 0.5).sum(axis=1).tolist() == [2, 2]


def test_blocks_cover_everything_once():
    covered = np.concatenate([np.arange(10)[part] for part in blocks(10, 4)])
    assert covered.tolist() == list(range(10))
    assert list(blocks(0)) == []


def test_counts_round_halves_to_even_as_the_papers_code_does():
    assert [share_count(0.5, size) for size in (1, 3, 5)] == [0, 2, 2]


def test_kinds_are_counted_by_layer():
    kinds = np.array([0, 1, 1, 2, -1], dtype=np.int8)
    assert kind_counts(kinds, ("a", "b", "c"), (2, 3)) == {"a": [1, 0], "b": [1, 1], "c": [0, 1]}
