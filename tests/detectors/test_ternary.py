"""Ternary against loops, its lambda search against brute force, and its kinds by hand."""

import math
import warnings

import numpy as np
import pytest

from nharness.errors import OptionError, UsageError
from nharness_detectors.ternary import Ternary


def scores(probability, weight):
    """Score of every neuron, from the formula."""
    count = len(probability)
    m = sum(1 / n for n in range(1, count + 1)) / count
    result = []
    for column in np.asarray(probability).T:
        total = math.fsum(column)
        shares = [max(p / total, 1e-12) if total > 0 else 1e-12 for p in column]
        norm = math.fsum(shares)
        entropy = -math.fsum(q / norm * math.log(q / norm) for q in shares)
        result.append(entropy / math.log(count) - weight * max(column) / m)
    return result


def chosen(score, quota):
    return {j for _, j in sorted((value, j) for j, value in enumerate(score))[:quota]}


def bisect(probability, bar, quota):
    general = {j for j, column in enumerate(np.asarray(probability).T) if all(p > bar for p in column)}
    low, high = 0.0, 0.2
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (low, middle) if chosen(scores(probability, middle), quota) & general else (middle, high)
    return low


@pytest.mark.parametrize("seed", range(6))
def test_equals_the_reference(from_counts, seed):
    random = np.random.default_rng(seed)
    tokens = random.integers(80, 120, 4)
    shape = np.where(random.random(500) < 0.3, random.random(500), 0.1)  # some neurons fire for all
    counts = np.floor(np.clip(shape + 0.15 * random.random((4, 500)), 0, 1) * tokens[:, None]).astype(int)
    counts[:, ::17] = 0
    counts[2] = 0 if seed == 5 else counts[2]
    found = Ternary(top_rate=0.1, activation_bar=0.8)(from_counts(counts, tokens, (200, 300)))
    probability = counts / tokens[:, None]
    bar = sorted(probability.ravel())[round(0.8 * probability.size) - 1]
    weight = bisect(probability, bar, 50)
    assert found.notes["lambda"] == weight
    expected = scores(probability, weight)
    assert found.score == pytest.approx(np.array(expected), abs=1e-6)
    picked = chosen(expected, 50)
    member = (probability > bar) & np.isin(np.arange(500), list(picked))
    assert (found.membership == member).all()


def test_lambda_is_the_last_that_selects_no_general_neuron(from_counts):
    # neuron 0 fires for all languages (general), the others for one each, ever more evenly
    random = np.random.default_rng(2)
    counts = random.integers(170, 230, (3, 100))
    counts[0] += 300
    counts[:, 0] = [900, 890, 880]
    evidence = from_counts(counts, [1000] * 3)
    found = Ternary(top_rate=0.1, activation_bar=0.5)(evidence)
    weight = found.notes["lambda"]
    assert 0 < weight < 0.19921875
    assert not found.membership.all(axis=0).any()
    beyond = Ternary(top_rate=0.1, activation_bar=0.5, **{"lambda": weight + 2e-3})(evidence)
    assert beyond.membership.all(axis=0).any()


def test_lambda_keeps_to_the_lower_end_of_the_last_bracket(from_counts):
    counts = np.zeros((2, 50), dtype=int)
    counts[0, :10] = 9
    assert Ternary(top_rate=0.1)(from_counts(counts, [10, 10])).notes["lambda"] == 0.19921875
    everywhere = np.full((2, 50), 9)  # any lambda selects a general neuron
    found = Ternary(top_rate=0.1, activation_bar=0.0)(from_counts(np.where(np.arange(50) < 3, 1, everywhere), [10, 10]))
    assert found.notes["lambda"] == 0.0


def test_fixed_lambda_and_the_papers_units(from_counts):
    counts = np.random.default_rng(0).integers(0, 50, (5, 200))
    found = Ternary(**{"lambda": 0.05})(from_counts(counts, [50] * 5))
    m = (1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 5
    assert found.notes["lambda"] == 0.05
    assert found.notes["lambda_paper"] == pytest.approx(0.05 * math.log(5) / m)
    assert found.options["lambda"] == 0.05
    assert found.score == pytest.approx(np.array(scores(counts / 50, 0.05)), abs=1e-6)


def test_kinds_by_hand(from_counts):
    #            specific related general unassigned
    counts = [[90, 80, 95, 1], [1, 85, 96, 1], [2, 1, 97, 2]]
    found = Ternary(top_rate=1, activation_bar=0.5, **{"lambda": 0})(from_counts(counts, [100] * 3, (3, 1)))
    assert found.kinds(over="all").tolist() == [0, 1, 2, 3]
    assert found.notes["kinds_all"] == {"specific": [1, 0], "related": [1, 0], "general": [1, 0], "unassigned": [0, 1]}
    assert found.notes["kinds_selected"] == found.notes["kinds_all"]
    assert found.flat("de").tolist() == [1, 2]


def test_kinds_of_the_selected_count_no_other_neuron(from_counts):
    counts = np.random.default_rng(0).integers(0, 50, (3, 200))
    found = Ternary(top_rate=0.1, activation_bar=0.6)(from_counts(counts, [50] * 3, (80, 120)))
    tables = [np.array(list(found.notes[name].values())) for name in ("kinds_selected", "kinds_all")]
    assert [table.sum() for table in tables] == [found.notes["selected"], 200] == [20, 200]
    assert (tables[0] <= tables[1]).all()
    assert tables[1].sum(axis=0).tolist() == [80, 120]


def test_two_languages_have_no_related_neuron(from_counts):
    counts = np.random.default_rng(0).integers(0, 50, (2, 300))
    assert sum(Ternary()(from_counts(counts, [50, 50])).notes["kinds_all"]["related"]) == 0


def test_an_all_zero_row_counts_as_uniform(from_counts):
    counts = np.array([[5, 0, 1], [1, 0, 5]])
    assert Ternary(**{"lambda": 0})(from_counts(counts, [10, 10])).score[1] == pytest.approx(1.0)


def test_more_counts_than_tokens_are_a_warning_and_used(from_counts):
    counts = np.random.default_rng(0).integers(0, 50, (3, 100))
    counts[1, 4] = 53
    with pytest.warns(UserWarning, match="1 activation counts exceed"):
        found = Ternary(**{"lambda": 0.1})(from_counts(counts, [50] * 3))
    assert found.notes["excess_counts"] == 1
    assert found.score == pytest.approx(np.array(scores(counts / 50, 0.1)), abs=1e-6)


def test_negative_counts_are_zero(from_counts):
    counts = np.random.default_rng(0).integers(0, 50, (3, 100))
    negative = counts.copy()
    negative[0, :20] = -3
    counts[0, :20] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        a, b = (Ternary()(from_counts(each, [50] * 3)) for each in (counts, negative))
    assert (a.membership == b.membership).all()
    assert a.score.tobytes() == b.score.tobytes()


def test_one_language_is_an_error(from_counts):
    with pytest.raises(UsageError, match="at least 2"):
        Ternary()(from_counts([[1, 2]], [5]))


def test_lambda_out_of_range():
    with pytest.raises(OptionError, match=r"option lambda is 3.*'auto' or a number at least 0 and at most 1"):
        Ternary(**{"lambda": 3})
    assert Ternary(**{"lambda": "0.1"}).options.lambda_ == 0.1
