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


def test_a_ladder_that_starts_higher_finds_the_same_crossing():
    def harm(units):
        return units / 1000

    whole = climbed(Ladder(1000, 10_000), harm)
    for start in (1, 3, 40, 90, 100, 101, 170, 640, 1000):
        again = climbed(Ladder(1000, 10_000, farthest=0.10, start=start), harm)
        above = min(units for units in again if harm(units) >= 0.10)
        below = max(units for units in again if harm(units) < 0.10)
        assert below < 100 <= above
        assert harm(above) - harm(below) <= 0.02
        assert len(again) <= len(whole)


def test_where_the_other_languages_are_measured():
    ladder = Ladder(100, 10_000)
    points = {1: 0.01, 2: 0.04, 4: 0.06, 8: 0.09, 12: 0.12, 16: 0.2, 32: 0.3}
    assert ladder.around(points, (0.05, 0.10, 0.25)) == {2, 4, 8, 12, 16, 32}
    assert ladder.around(points, (0.10,)) == {8, 12}
    assert ladder.around({1: 0.01, 2: 0.04, 4: 0.03}, (0.10,)) == {2}
    assert ladder.around({}, (0.10,)) == set()
