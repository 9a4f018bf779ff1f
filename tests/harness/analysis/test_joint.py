"""Differences of several matrices: error rates of simulated boards on parallel text, and cases by hand."""

import numpy as np
import pytest

from matrix_measurements import PPL
from nharness.analysis.effects import Effects
from nharness.analysis.joint import SETTINGS, Side, score_differences
from nharness.analysis.measurements import Paired

LANGUAGES = ("en", "zh", "fr")
IDS = tuple(f"page-{i}" for i in range(40))


def board(rng, count, *, clusters=40, gap=0.0):
    """Sides of equal detectors, all of them on one parallel text; the first is better by `gap`.

    A page is easy or hard for all languages and detectors at once, and for each detector in all languages at once:
    what was taken as independent between languages made pairs differ that do not.
    """
    size = rng.lognormal(5.5, 0.5, clusters)
    page = (rng.gamma(2, 1, clusters) - 2) * 0.1
    sides = []
    for number in range(count):
        common = (rng.gamma(2, 1, clusters) - 2) * 0.05
        cells = {}
        for target in LANGUAGES:
            for tag in LANGUAGES:
                own = 0.2 + gap * (number == 0) + page + common if target == tag else 0.02 + page / 5
                change = size * (own + rng.normal(0, 0.03, clusters))
                cells[target, tag] = Paired(IDS[:clusters], IDS[:clusters], size * 0, change, size, None)
        weights = {place: 1 / 3 if place[0] == place[1] else -1 / 6 for place in cells}
        sides.append(Side(Effects(PPL, cells, frozenset(), SETTINGS), weights))
    return sides


def pair(sides):
    (found,) = score_differences(sides, [(0, 1)])
    return found


def test_two_equal_detectors_are_told_apart_in_one_of_twenty_boards():
    rng, apart = np.random.default_rng(91), []
    for _ in range(400):
        found = pair(board(rng, 2))
        apart.append(found.low[0] > 0 or found.high[0] < 0)
    assert 0.025 <= np.mean(apart) <= 0.075


def test_with_few_clusters_no_difference_is_sure():
    sides = board(np.random.default_rng(94), 2, clusters=4, gap=5.0)
    assert pair(sides).withheld(0) == "4 clusters of items; an interval needs at least 5"


def test_the_difference_is_that_of_the_scores_and_pairs():
    sides = board(np.random.default_rng(95), 2)
    found = pair(sides)
    assert found.estimate[0] == pytest.approx(sides[0].score - sides[1].score)
    (same,) = score_differences([sides[0], sides[0]], [(0, 1)])
    assert same.low[0] == pytest.approx(0, abs=1e-12)
    assert sides[0].text() == sides[1].text()
    assert board(np.random.default_rng(96), 1)[0].text() != sides[0].text()
