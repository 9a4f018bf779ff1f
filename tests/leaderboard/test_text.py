"""How the board writes numbers that a reader could take for more than they are."""

import pytest

from nharness.record.results import ControlSelectivity
from nharness_leaderboard.site.text import against_random


@pytest.mark.parametrize(
    ("draws", "p", "written"),
    [
        (5, 1 / 6, "≤\N{NARROW NO-BREAK SPACE}0.17 (5 draws)"),
        (20, 1 / 21, "≤\N{NARROW NO-BREAK SPACE}0.048 (20 draws)"),
        (5, 0.64, "0.64"),
        (20, 0.2, "0.2"),
    ],
)
def test_p_that_is_as_small_as_the_draws_can_tell_says_so(draws, p, written):
    assert against_random(ControlSelectivity(draws=draws, mean=0.0, p=p)) == written


def test_nothing_drawn_says_nothing():
    assert against_random(None) == against_random(ControlSelectivity(draws=1, mean=0.0)) == "–"
