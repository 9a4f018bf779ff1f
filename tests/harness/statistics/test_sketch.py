"""Quantiles of a sketch against exact ones: loud and quiet neurons, zeros, ties, any shards; and what they cost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nharness.statistics import sketch
from nharness.statistics.sketch import Sketch

LEVELS = (0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0)
BOUND = 1 / sketch.STEPS


def columns(values):
    return sketch.columns_of_keys()[(values.astype(np.float32).view(np.int32) >> 20) + 2048]


def sketched(values):
    count = np.stack([np.bincount(column, minlength=sketch.SIZE) for column in columns(values).T])
    return Sketch(count, values.min(axis=0).astype(float), values.max(axis=0).astype(float))


def within(found, exact, bound=BOUND):
    return abs(found - exact) <= np.maximum(bound * abs(exact), 2.0**sketch.LOWEST)


def test_columns_are_where_the_edges_say():
    lower, upper = sketch.edges()
    assert len(lower) == len(upper) == sketch.SIZE
    assert (lower[1:] == upper[:-1]).all()
    random = np.random.default_rng(0)
    values = (random.normal(size=20_000) * np.exp(random.normal(size=20_000) * 6)).astype(np.float32)
    found = columns(values)
    assert ((lower[found] <= values) & (values <= upper[found])).all()
    assert (columns(np.array([0.0, -0.0, np.nan, -np.nan, 1e-40])) == sketch.ZERO).all()
    assert columns(np.array([-np.inf, np.inf])).tolist() == [0, sketch.SIZE - 1]
    inner = slice(sketch.ZERO + 2, -1)
    assert ((upper - lower)[inner] / lower[inner]).max() <= BOUND


@pytest.mark.parametrize("level", LEVELS)
def test_quantiles_of_neurons_of_any_loudness(level):
    random = np.random.default_rng(1)
    loudness = np.exp(np.linspace(-8, 3.5, 200))
    values = (random.standard_t(4, (5000, 200)) * loudness).astype(np.float32)
    exact = np.quantile(values, level, axis=0, method="inverted_cdf")
    found = sketched(values).quantile(level)
    assert within(found, exact).all()
    loud = abs(exact) > 2.0**-10
    assert np.median(abs(found - exact)[loud] / abs(exact)[loud]) < 0.015


@pytest.mark.parametrize("level", LEVELS)
def test_exact_zeros_of_a_relu_are_zeros(level):
    random = np.random.default_rng(2)
    values = np.maximum(random.normal(random.uniform(-4, 1, 100), 1, (4000, 100)), 0).astype(np.float32)
    exact = np.quantile(values, level, axis=0, method="inverted_cdf")
    found = sketched(values).quantile(level)
    assert ((found == 0) == (exact == 0)).all()
    assert within(found, exact).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1000, 1000, width=32), min_size=1, max_size=60), st.floats(0.001, 1))
def test_any_values_at_any_level(values, level):
    column = np.array(values, dtype=np.float32)[:, None]
    exact = np.sort(column[:, 0])[int(np.clip(np.ceil(level * len(values) - 1e-9), 1, len(values))) - 1]
    assert within(sketched(column).quantile(level), exact).all()


def test_beyond_the_scale_the_extremes_bound_it():
    values = np.array([[1e-9, 3e5], [2e-9, 2000], [3e-9, 1500]], dtype=np.float32)
    found = sketched(values)
    assert found.quantile(1) == pytest.approx([3e-9, 3e5])
    assert found.quantile(1e-6) == pytest.approx([1e-9, 1500])
    assert 1500 <= found.quantile(0.5)[1] <= 3e5


def test_a_neuron_without_tokens_is_zero():
    nothing = Sketch(np.zeros((1, sketch.SIZE), dtype=np.int64), np.array([np.inf]), np.array([-np.inf]))
    assert nothing.quantile(0.9).tolist() == [0]


def test_what_it_takes():
    assert sketch.SIZE * 4 == 1556  # bytes of one neuron and language, as the module says
    assert 458_752 * 10 * sketch.SIZE * 4 / 1e9 < 7.2
