"""Intervals of concentration cover what unlimited text would give, in about 95 of a hundred simulated layouts."""

import numpy as np
import pytest

from nharness.analysis.structure.intervals import concentration_intervals, concentrations, together
from nharness.detector import Evidence
from nharness.errors import UsageError
from nharness.statistics import LanguageTotals, Statistics
from nharness_detectors.lape import Lape

TAGS, LAYERS, WIDTH, TOKENS = ("en", "de", "zh", "ru"), 20, 150, 2_000
UNLIMITED = 10**8
PLACES = [("concentration-first", None), ("concentration-last", None), ("concentration-both-ends", None)]
DETECTOR = Lape(top_rate=0.02)


def counted(counts, tokens):
    totals = {tag: LanguageTotals(tokens, 1) for tag in TAGS}
    tensors = {f"activation_count/positive/{tag}": row.astype(np.int64) for tag, row in zip(TAGS, counts, strict=True)}
    return Statistics("gate", (WIDTH,) * LAYERS, totals, tensors)


def layout(rng):
    """Activation probabilities [G, M]: neurons of one language, four times as many in the four layers at each end."""
    size = LAYERS * WIDTH
    layer = np.repeat(np.arange(LAYERS), WIDTH)
    specific = rng.random(size) < np.where((layer < 4) | (layer >= 16), 0.08, 0.02)
    own = rng.integers(0, len(TAGS), size)
    p = rng.uniform(0.02, 0.15, size) * rng.uniform(0.8, 1.25, (len(TAGS), size))
    for row in range(len(TAGS)):
        chosen = specific & (own == row)
        p[row, chosen] = rng.uniform(0.2, 0.9, chosen.sum())
    return p


def parts_of(p, rng, number=16, spread: float | None = 30):
    """Counts on parts whose sources differ in how active neurons are, the less the larger `spread`; none: not at all."""
    own = [p if spread is None else rng.beta(p * spread, (1 - p) * spread) for _ in range(number)]
    return [counted(rng.binomial(TOKENS, each), TOKENS) for each in own]


@pytest.mark.slow
@pytest.mark.parametrize(("spread", "least", "most"), [(30, 0.93, 0.97), (None, 0.96, 1.0)])
def test_intervals_cover_what_unlimited_text_gives(spread, least, most):
    """In 93 to 97 of a hundred; in more where sources do not differ: less than a neuron changes sides, and none is half."""
    covered, simulations = np.zeros(len(PLACES)), 50
    for seed in range(simulations):
        rng = np.random.default_rng(seed)
        p = layout(rng)
        truth = concentrations(DETECTOR(Evidence({"gate": counted(np.round(p * UNLIMITED), UNLIMITED)})))
        found = concentration_intervals(parts_of(p, rng, spread=spread), DETECTOR, seed=seed)
        covered += [found[place][0] <= truth[place] <= found[place][1] for place in PLACES]
    # 150 intervals, three of a simulation alike; 200 simulations gave 96.5, 96.0 and 96.5 of a hundred with 30, and of a
    # second implementation 94.0, 95.5 and 95.5 with 30, 99.5, 98.0 and 99.0 with none
    assert least <= covered.sum() / (simulations * len(PLACES)) <= most, covered


def test_more_text_gives_a_narrower_interval_and_the_same_seed_the_same():
    p = layout(np.random.default_rng(0))
    few = concentration_intervals(parts_of(p, np.random.default_rng(1), 8), DETECTOR, seed=0)
    many = concentration_intervals(parts_of(p, np.random.default_rng(1), 32), DETECTOR, seed=0)
    wide, narrow = (sum(each[place][1] - each[place][0] for place in PLACES) for each in (few, many))
    assert narrow < wide
    assert few == concentration_intervals(parts_of(p, np.random.default_rng(1), 8), DETECTOR, seed=0)


def test_too_few_parts_are_refused_and_parts_add_up():
    parts = parts_of(layout(np.random.default_rng(0)), np.random.default_rng(1), 3)
    with pytest.raises(UsageError, match="3 parts are too few for intervals, which need 8 or more"):
        concentration_intervals(parts, DETECTOR, seed=0)
    whole = together(parts)
    assert whole.totals["en"].tokens == 3 * TOKENS
    sums = [part.get("activation_count", "positive", "zh") for part in parts]
    assert (whole.get("activation_count", "positive", "zh") == sum(sums)).all()
