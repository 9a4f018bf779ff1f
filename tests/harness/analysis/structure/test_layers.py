"""Concentration: shares counted by hand, chance by enumeration, nothing claimed of models without ends."""

from itertools import permutations

import numpy as np
import pytest

from narrowing import present
from nharness.analysis.structure.layers import concentration, end_layers, fifth, per_layer


def test_layers_are_counted_whatever_their_widths():
    marked = np.array([True, False, True, True, False, True])
    assert per_layer(marked, (1, 3, 2)).tolist() == [1, 2, 1]


@pytest.mark.parametrize(("layers", "size"), [(3, 1), (4, 1), (10, 2), (24, 5), (30, 6), (80, 16)])
def test_a_fifth_of_the_depth_is_a_whole_number_of_layers(layers, size):
    assert fifth(layers) == size
    ends = end_layers(layers)
    assert ends["first"].tolist() == list(range(size))
    assert ends["last"].tolist() == list(range(layers - size, layers))


def test_shares_at_the_ends_are_those_counted_by_hand():
    ends = present(concentration(np.array([6, 1, 1, 0, 2]), (10, 10, 10, 10, 20), seed=0))
    assert (ends.first.share, ends.first.expected) == (0.6, pytest.approx(1 / 6))
    assert (ends.last.share, ends.last.expected) == (0.2, pytest.approx(1 / 3))
    assert (ends.both.share, ends.both.expected) == (pytest.approx(0.8), pytest.approx(0.5))


def test_chance_is_that_of_the_same_counts_in_every_order():
    counts, widths = np.array([5, 1, 2, 1, 3]), (8,) * 5
    ends = present(concentration(counts, widths, seed=0))
    orders = np.array([np.take(counts, order) for order in permutations(range(5))])
    assert ends.first.p == pytest.approx((orders[:, 0] >= 5).mean())
    assert ends.both.p == pytest.approx((orders[:, [0, 4]].sum(axis=1) >= 8).mean())


def test_drawn_chance_is_near_the_enumerated_one_and_the_same_every_time():
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 50, 30)
    p = present(concentration(counts, (1000,) * 30, seed=3)).first.p
    assert p == present(concentration(counts, (1000,) * 30, seed=3)).first.p
    assert p == pytest.approx(present(concentration(counts, (1000,) * 30, seed=4)).first.p, abs=0.02)


@pytest.mark.parametrize(("counts", "widths"), [([1, 2], (4, 4)), ([0, 0, 0], (4, 4, 4))])
def test_what_has_no_ends_or_no_neurons_has_no_concentration(counts, widths):
    assert concentration(np.array(counts), widths, seed=0) is None
