"""The ladder as a state machine: which sizes it asks for, that it ends, and that it goes on where it was."""

import pytest

from nharness.analysis.ladder import Ladder
from nharness.errors import OptionError


def climbed(ladder, harm, points=None):
    """Follow a ladder to its end; return the sizes in the order asked for."""
    points, asked = dict(points or {}), []
    while (units := ladder.next(points)) is not None:
        assert units not in points
        asked.append(units)
        points[units] = harm(units)
    return asked


def test_it_doubles_to_a_quarter_of_harm_and_halves_around_the_level():
    assert climbed(Ladder(1000, 10_000), lambda n: 0.004 * n) == [1, 2, 4, 8, 16, 32, 64, 24, 28]


def test_it_ends_at_a_tenth_of_all_units_or_with_the_list():
    assert climbed(Ladder(100, 100), lambda n: 0.0) == [1, 2, 4, 8, 10]
    assert climbed(Ladder(5, 1000), lambda n: 0.001) == [1, 2, 4, 5]
    assert climbed(Ladder(0, 1000), lambda n: 0.0) == []
    assert climbed(Ladder(3, 5), lambda n: 0.0) == [1]


def test_one_strong_unit_is_a_ladder_of_one_rung():
    assert climbed(Ladder(100, 1000), lambda n: 0.5) == [1]


def test_a_jump_between_neighbours_cannot_be_halved():
    assert climbed(Ladder(100, 1000), lambda n: 0.3 if n >= 7 else 0.0) == [1, 2, 4, 8, 6, 7]


def test_the_first_crossing_counts_where_harm_falls_again():
    harm = {1: 0.0, 2: 0.12, 3: 0.2, 4: 0.05, 8: 0.3}
    assert climbed(Ladder(8, 80), lambda n: harm.get(n, 0.1)) == [1, 2, 4, 8]


def test_a_killed_ladder_goes_on_where_it_was():
    ladder, harm = Ladder(1000, 10_000), lambda n: 0.004 * n
    asked = climbed(ladder, harm)
    kept = {units: harm(units) for units in asked[:5]}
    assert climbed(ladder, harm, kept) == asked[5:]
    assert len(asked) <= ladder.most()


def test_what_is_no_ladder_is_refused():
    with pytest.raises(OptionError, match="ladder"):
        Ladder(-1, 10)
    with pytest.raises(OptionError, match="ladder"):
        Ladder(20, 10)
