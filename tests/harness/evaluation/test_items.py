"""What several items come to, by hand."""

import math

import numpy as np
import pytest

from nharness.evaluation.items import Item, noise_floor


def scored(*bits, size=10, ids="abcdefgh"):
    values = zip(ids, bits, strict=False)
    return [Item(name, name, {"nll": each * math.log(2), "bytes": size, "tokens": 3}) for name, each in values]


def test_the_noise_floor_is_the_larger_of_the_sums_move_and_the_items():
    assert noise_floor(scored(10.0, 12.0), scored(10.3, 12.4)) == pytest.approx(
        0.7 / 20
    )  # by 0.5 each way, together 0.7
    assert noise_floor(scored(10.0, 12.0), scored(10.3, 11.7)) == pytest.approx(math.hypot(0.3, 0.3) / 20)
    assert noise_floor(scored(10.0, 12.0), scored(10.0, 12.0)) == 0.0
    assert math.isnan(noise_floor([], []))


def test_the_noise_floor_tells_the_scatter_of_the_mean():
    """Of independent moves the floor is never below their standard error, where the sum alone often is."""
    rng, scatter = np.random.default_rng(7), 0.02
    floors, sums = [], []
    for _ in range(400):
        moves = rng.normal(0, scatter, 60)
        once, again = scored(*np.full(60, 40.0), ids=range(60)), scored(*(40.0 + moves), ids=range(60))
        floors.append(noise_floor(once, again) * 600)
        sums.append(abs(moves.sum()))
    error = scatter * math.sqrt(60)
    assert min(floors) > 0.7 * error
    assert np.mean(np.array(sums) < 0.5 * error) > 0.3


def test_only_the_same_items_have_a_noise_floor():
    with pytest.raises(ValueError, match="item a is held against b"):
        noise_floor(scored(1.0), scored(1.0, ids="b"))
    with pytest.raises(ValueError, match="item a"):
        noise_floor(scored(1.0), scored(1.0, size=11))
