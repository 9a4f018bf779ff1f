"""LAPE against the formula written out in loops, and against a case computed by hand."""

import math

import numpy as np
import pytest

from narrowing import present
from nharness.detector import Evidence
from nharness.errors import OptionError, UnknownNameError, UsageError
from nharness_detectors.lape import Lape


def reference(counts, tokens, *, top_rate=0.01, filter_rate=0.95, bar_rate=0.95):
    """Scores and membership by exact summation over Python floats."""
    languages, neurons = len(counts), len(counts[0])
    probability = [[int(c) / n for c in row] for row, n in zip(counts, tokens, strict=True)]
    ordered = sorted(p for row in probability for p in row)
    bar = ordered[max(1, round(bar_rate * len(ordered))) - 1]
    filter_bar = ordered[max(1, round(filter_rate * len(ordered))) - 1]
    scores = []
    for j in range(neurons):
        column = [probability[k][j] for k in range(languages)]
        total = math.fsum(column)
        shares = [p / total if total > 0 else 0.0 for p in column]
        scores.append(-math.fsum(q * math.log(q) for q in shares if q > 0) + 0.0)
        if not any(p > filter_bar for p in column):
            scores[j] = math.inf
    ranked = sorted((score, j) for j, score in enumerate(scores) if math.isfinite(score))
    chosen = {j for _, j in ranked[: round(top_rate * neurons)]}
    member = [[j in chosen and probability[k][j] > bar for j in range(neurons)] for k in range(languages)]
    return np.array(scores, dtype=np.float32), np.array(member)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("languages", [2, 3, 7, 12])
def test_equals_the_reference_bit_for_bit(from_counts, languages, seed):
    random = np.random.default_rng(seed)
    tokens = random.integers(50, 200, languages)
    few = seed % 2 == 0  # half of the cases are full of ties
    counts = random.integers(0, 6 if few else tokens[:, None], (languages, 600))
    counts[:, random.random(600) < 0.1] = 0  # dead neurons
    counts[1] = 0 if seed % 3 == 0 else counts[1]  # a language that activates nothing
    found = Lape(top_rate=0.07)(from_counts(counts, tokens, (100, 350, 150)))
    score, member = reference(counts, tokens, top_rate=0.07)
    assert found.score.dtype == np.float32
    assert found.score.tobytes() == score.tobytes()
    assert (found.membership == member).all()


@pytest.mark.parametrize(("filter_rate", "bar"), [(0.5, 0.95), (0.95, 0.5), (0.0, 1.0), (1.0, 0.0)])
def test_both_bars_are_separate(from_counts, filter_rate, bar):
    random = np.random.default_rng(9)
    counts = random.integers(0, 50, (3, 200))
    found = Lape(top_rate=0.2, filter_rate=filter_rate, activation_bar=bar)(from_counts(counts, [60, 70, 80]))
    score, member = reference(counts, [60, 70, 80], top_rate=0.2, filter_rate=filter_rate, bar_rate=bar)
    assert found.score.tobytes() == score.tobytes()
    assert (found.membership == member).all()
    assert not present(found.candidates)[:, np.isinf(score)].any()


def test_case_computed_by_hand(from_counts):
    # p: en .8 .4 0 .2, de .2 .4 0 .6; the 4th smallest of the eight is .2; neuron 2 exceeds it nowhere
    found = Lape(top_rate=0.5, filter_rate=0.5, activation_bar=0.5)(
        from_counts([[80, 40, 0, 20], [20, 40, 0, 60]], [100, 100], (2, 2))
    )
    expected = [
        0.8 * math.log(1 / 0.8) + 0.2 * math.log(5),
        math.log(2),
        math.inf,
        0.25 * math.log(4) + 0.75 * math.log(4 / 3),
    ]
    assert found.score == pytest.approx(np.array(expected), rel=1e-6)
    assert found.neurons("en").tolist() == [[0, 0]]
    assert found.neurons("de").tolist() == [[1, 1]]
    assert present(found.candidates).tolist() == [[True, True, False, False], [False, True, False, True]]
    assert found.notes["activation_bar"] == 0.2


def test_ties_at_the_cut_go_to_the_first_neuron(from_counts):
    counts = np.zeros((2, 100), dtype=int)
    counts[0, 10:20] = 5  # ten equal neurons, two places
    found = Lape(top_rate=0.02, filter_rate=0.5, activation_bar=0.5)(from_counts(counts, [10, 10]))
    assert found.flat("en").tolist() == [10, 11]


def test_language_without_neurons_keeps_its_row_wherever_it_stands(from_counts):
    counts = np.random.default_rng(0).integers(1, 100, (4, 300))
    for empty in range(4):
        silent = counts.copy()
        silent[empty] = 0
        found = Lape(top_rate=0.1)(from_counts(silent, [100] * 4))
        assert len(found.languages) == len(found.membership) == 4
        assert not found.membership[empty].any()
        assert found.membership.any(axis=1).sum() == 3


def test_one_language_is_an_error(from_counts):
    with pytest.raises(UsageError, match="at least 2"):
        Lape()(from_counts([[1, 2, 3]], [10]))


def test_fewer_than_half_a_neuron_selects_none(from_counts):
    assert not Lape()(from_counts([[9, 2, 3], [1, 2, 3]], [10, 10])).membership.any()


def test_missing_statistics_are_named(evidence_of):
    hidden = evidence_of().sites["hidden"]
    with pytest.raises(UnknownNameError, match="gate"):
        Lape()(Evidence({"hidden": hidden}))


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("top_rate", 0, "above 0 and at most 1"),
        ("top_rate", 1.5, "above 0 and at most 1"),
        ("filter_rate", -0.1, "at least 0 and at most 1"),
        ("activation_bar", "much", "a number at least 0"),
    ],
)
def test_option_out_of_range_names_the_range(option, value, expected):
    with pytest.raises(OptionError, match=f"option {option} is .*{expected}"):
        Lape(**{option: value})


def test_unknown_option_names_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'top_rate'"):
        Lape(toprate=0.1)


def test_experts_are_judged_by_the_tokens_they_received(evidence_of):
    evidence = evidence_of(3, (20, 40), routed=True)
    found = Lape(top_rate=0.2)(evidence)
    recorded = evidence.statistics("gate")
    counts = [recorded.get("activation_count", "positive", tag) for tag in recorded.languages]
    routed = [recorded.get("activation_count", "routed", tag) for tag in recorded.languages]
    probability = np.array(
        [[c / n if n else 0 for c, n in zip(*rows, strict=True)] for rows in zip(counts, routed, strict=True)]
    )
    share = probability / probability.sum(axis=0).clip(1e-300)
    expected = -np.sum(share * np.log(share, where=share > 0, out=np.zeros_like(share)), axis=0)
    finite = np.isfinite(found.score)
    assert found.score[finite] == pytest.approx(expected[finite], abs=1e-6)
