"""Nats and bits, by hand."""

import math

import numpy as np
import pytest

from nharness.information import bits, nats


def test_the_surprise_of_one_outcome_of_eight_is_three_bits():
    assert bits(-math.log(1 / 8)) == pytest.approx(3, rel=1e-15)
    assert nats(3.0) == pytest.approx(math.log(8), rel=1e-15)


def test_items_are_converted_one_by_one():
    assert bits(np.log([2.0, 4.0, 16.0])).tolist() == [1, 2, 4]
    assert nats(np.array([0.0, 1.0])).tolist() == [0, math.log(2)]
