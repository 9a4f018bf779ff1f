"""Detectors that read distributions, against loops over every split of the languages, and exact shares."""

from itertools import combinations

import numpy as np
import pytest

from narrowing import present
from nharness.statistics import sketch
from nharness_detectors.act_prob_90p import ActProb90p
from nharness_detectors.dln import Dln, best_split


def overlaps(evidence):
    """Overlap of every pair of languages for every neuron, {(k, k'): [M]}."""
    recorded = evidence.statistics("gate")
    counts = [recorded.get("histogram", "count", tag) for tag in recorded.languages]
    share = [[[c / sum(row) for c in row] for row in count.tolist()] for count in counts]
    return {
        (a, b): [sum(map(min, share[a][j], share[b][j])) for j in range(recorded.size)]
        for a, b in combinations(range(len(share)), 2)
    }


def splits(languages):
    for size in range(1, languages // 2 + 1):
        for side in combinations(range(languages), size):
            yield set(side)


@pytest.mark.parametrize("languages", [2, 3, 4, 5])
def test_dln_finds_the_best_of_all_splits(evidence_of, languages):
    evidence = evidence_of(languages, (25, 40), seed=languages)
    found = Dln(top_rate=0.1)(evidence)
    pair = overlaps(evidence)
    values = sorted(v for row in pair.values() for v in row)
    tau = values[max(1, int(0.1 * len(values))) - 1]
    assert found.notes["overlap_bar"] == pytest.approx(tau, abs=1e-6)
    candidates = present(found.candidates)
    for j in range(65):
        costs = {
            tuple(sorted(side)): max(
                pair[min(a, b), max(a, b)][j] for a in side for b in range(languages) if b not in side
            )
            for side in splits(languages)
        }
        cost = min(costs.values())
        best = [set(side) for side, value in costs.items() if value == cost]
        assert found.score[j] == pytest.approx(cost, abs=1e-6)
        assert set(np.flatnonzero(candidates[:, j]).tolist()) in best
        if abs(cost - tau) > 1e-6:
            assert found.membership[:, j].any() == (cost < tau)
    assert (found.membership <= candidates).all()


def test_dln_by_hand(from_statistic):
    # neuron 0: en apart from de and zh; neuron 1: all alike; neuron 2: en, de against zh
    histogram = {
        "en": [[10, 0, 0], [5, 5, 0], [0, 6, 4]],
        "de": [[0, 5, 5], [5, 5, 0], [0, 5, 5]],
        "zh": [[1, 4, 5], [5, 5, 0], [9, 1, 0]],
    }
    evidence = from_statistic(
        "gate", "histogram", [{"count": np.array(rows)} for rows in histogram.values()], tokens=10
    )
    found = Dln(top_rate=0.4)(evidence)  # floor(.4 * 9) = third smallest of 0 .1 .1 .1 .9 .9 1 1 1
    assert found.score == pytest.approx(np.array([0.1, 1.0, 0.1]))
    assert found.notes["overlap_bar"] == pytest.approx(0.1)
    assert found.membership.T.tolist() == [[True, False, False], [False, False, False], [False, False, True]]


@pytest.mark.parametrize("seed", range(4))
def test_ties_give_the_smallest_then_the_most_active_group(seed):
    # groups {0}, {1, 2}, {3}: no overlap between them, full within; 3 is more active than 0
    overlap = np.zeros((4, 4), dtype=np.float32)
    overlap[1, 2] = 0.8
    order = np.random.default_rng(seed).permutation(4)
    symmetric = (overlap + overlap.T)[np.ix_(order, order)]
    level = np.array([2, 9, 9, 5], dtype=np.float32)[order]
    score, side = best_split(symmetric[np.triu_indices(4, 1)][:, None], level[:, None])
    assert score.tolist() == [0]
    assert side[:, 0].tolist() == (order == 3).tolist()


def test_two_languages_give_the_neuron_to_the_more_active(from_statistic):
    rows = [{"count": np.array([[8, 2, 0]])}, {"count": np.array([[0, 2, 8]])}]
    found = Dln(top_rate=1)(from_statistic("gate", "histogram", rows, tokens=10))
    assert found.membership[:, 0].tolist() == [False, True]
    assert found.score[0] == pytest.approx(0.2)


def test_a_neuron_without_tokens_of_a_language_is_not_selected(from_statistic):
    rows = [{"count": np.array([[0, 0, 0], [9, 1, 0]])}, {"count": np.array([[0, 2, 8], [0, 1, 9]])}]
    found = Dln(top_rate=1)(from_statistic("gate", "histogram", rows, tokens=10))
    assert found.score[0] == np.inf
    assert not present(found.candidates)[:, 0].any()
    assert found.membership[:, 1].tolist() == [False, True]


def share_above(counts, quantile):
    """Share of every language's tokens above the pooled quantile of one neuron; counts is a list of histograms."""
    shares = [[c / sum(row) if sum(row) else 0.0 for c in row] for row in counts]
    present = [row for row in shares if sum(row)]
    pooled = [sum(column) / len(present) for column in zip(*present, strict=True)]
    running, place = 0.0, 0
    while running + pooled[place] < quantile - 1e-12:
        running += pooled[place]
        place += 1
    fraction = (quantile - running) / pooled[place] if place != sketch.ZERO else 1.0  # no zero is above zero
    return [sum(row[place + 1 :]) + row[place] * (1 - fraction) for row in shares]


@pytest.mark.parametrize("percentile", [90, 50])
def test_act_prob_90p(evidence_of, percentile):
    evidence = evidence_of(4, (30, 20), seed=2)
    found = ActProb90p(percentile=percentile, top_rate=0.1)(evidence)
    recorded = evidence.statistics("gate")
    counts = [recorded.get("quantile_sketch", "count", tag).tolist() for tag in recorded.languages]
    expected = np.array([share_above([count[j] for count in counts], percentile / 100) for j in range(50)]).T
    assert found.score == pytest.approx(expected, abs=1e-5)
    assert (found.score.mean(axis=0) <= 1 - percentile / 100 + 1e-5).all()
    for k in range(4):
        best = sorted(range(50), key=lambda j: -expected[k][j])[:5]
        assert set(np.flatnonzero(found.membership[k]).tolist()) == set(best)


def test_act_prob_90p_by_hand(from_statistic):
    # pooled: zeros .5, then .3 and .2; the 90th percentile lies half-way through the last column
    counts = np.zeros((2, 1, sketch.SIZE), dtype=np.int32)
    counts[:, 0, sketch.ZERO : sketch.ZERO + 3] = [[6, 4, 0], [4, 2, 4]]
    found = ActProb90p(top_rate=1)(from_statistic("gate", "quantile_sketch", [{"count": c} for c in counts], tokens=10))
    assert found.score[:, 0] == pytest.approx([0, 0.2])
    assert found.membership[:, 0].tolist() == [False, True]


def sketched(values):
    """The sketch of values [tokens, M]."""
    keys = (values.astype(np.float32).view(np.int32) >> 20) + 2048
    columns = sketch.columns_of_keys()[keys]
    return {
        "count": np.stack([np.bincount(column, minlength=sketch.SIZE) for column in columns.T]).astype(np.int32),
        "least": values.min(axis=0),
        "most": values.max(axis=0),
    }


def test_act_prob_90p_of_loud_quiet_and_mostly_silent_neurons(from_statistic):
    """What one range for all neurons did not see: top neurons equal those of exact percentiles."""
    random, size = np.random.default_rng(0), 60
    loudness = np.exp(random.uniform(-5, 3, size)).astype(np.float32)
    own = random.uniform(0, 2, (3, size)) * (random.random((3, size)) < 0.4)
    values = [(random.normal(shift - 0.5, 1, (3000, size)) * loudness).astype(np.float32) for shift in own]
    values = [np.maximum(found, 0) * (np.arange(size) % 4 > 0) for found in values]  # a ReLU, a quarter of it dead
    found = ActProb90p(top_rate=8 / size)(from_statistic("gate", "quantile_sketch", list(map(sketched, values)), 3000))
    threshold = np.quantile(np.concatenate(values), 0.9, axis=0, method="inverted_cdf")
    exact = np.stack([(each > threshold).mean(axis=0) for each in values])
    assert found.score == pytest.approx(exact, abs=0.004)
    for row, scores in enumerate(exact):
        assert set(np.flatnonzero(found.membership[row])) == set(np.argsort(-scores, kind="stable")[:8])
