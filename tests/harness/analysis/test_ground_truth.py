"""Scores against truth: scikit-learn and scipy as independent implementations, ties by enumeration."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from narrowing import present
from nharness.analysis.ground_truth import Truth, against_truth, auroc, precision_at_k, rank_correlation
from nharness.errors import UsageError
from nharness.neurons import Detection


@pytest.mark.parametrize("levels", [3, 1000])
def test_auroc_and_rank_correlation_agree_with_libraries(levels):
    rng = np.random.default_rng(71)
    strength = rng.integers(0, levels, 300).astype(np.float32)
    members, effect = rng.random(300) < 0.1, rng.normal(size=300) + strength
    assert auroc(strength, members) == pytest.approx(roc_auc_score(members, strength))
    assert rank_correlation(strength, effect) == pytest.approx(spearmanr(strength, effect).statistic)


def test_auroc_with_neurons_that_are_no_candidates():
    strength, members = np.array([-np.inf, -np.inf, 1.0, 2.0]), np.array([True, False, False, True])
    assert auroc(strength, members) == pytest.approx(roc_auc_score(members, [-9, -9, 1, 2]))
    assert auroc(strength, np.zeros(4, dtype=bool)) is None


def test_precision_at_k_is_the_mean_over_all_ways_to_break_ties():
    rng = np.random.default_rng(72)
    for _ in range(20):
        strength, members = rng.integers(0, 3, 8).astype(float), rng.random(8) < 0.4
        for k in (1, 3, 5, 8):
            best = max(sum(strength[list(chosen)]) for chosen in combinations(range(8), k))
            ways = [c for c in combinations(range(8), k) if sum(strength[list(c)]) == best]
            assert precision_at_k(strength, members, k) == pytest.approx(
                np.mean([members[list(c)].mean() for c in ways])
            )
    assert precision_at_k(strength, members, 0) is None


def detection(score, membership=None, best="highest"):
    membership = np.zeros((2, 6), dtype=bool) if membership is None else membership
    return Detection("d", ("en", "fr"), (3, 3), membership, np.asarray(score, dtype=np.float32), best)


def test_a_detector_is_scored_per_language_and_on_average():
    truth = Truth("planted", ("fr", "en"), (3, 3), np.array([[0, 0, 0, 0, 1, 1], [1, 1, 0, 0, 0, 0]], dtype=bool))
    found = against_truth(detection([[9, 8, 1, 2, 3, 0], [9, 1, 1, 1, 8, 0]]), truth)
    assert [s.language for s in found.languages] == ["en", "fr"]
    assert found.languages[0].auroc == 1.0
    assert found.languages[0].precision_at_k == 1.0
    assert found.languages[1].precision_at_k == 0.5
    assert (found.languages[0].k, found.languages[0].rank_correlation) == (2, None)
    assert found.auroc == pytest.approx((1.0 + present(found.languages[1].auroc)) / 2)


def test_low_scores_that_are_best_are_turned_round():
    truth = Truth("planted", ("en", "fr"), (3, 3), np.array([[1, 1, 0, 0, 0, 0]] * 2, dtype=bool))
    assert against_truth(detection([0, 1, 5, 5, 5, 5], best="lowest"), truth).auroc == 1.0


def test_truth_from_effects():
    effect = np.array([[5.0, 4.0, 3.0, -1.0, 0.0, 0.0], [-1.0, 0.0, 0.0, 0.0, 0.0, 0.5]])
    truth = Truth.from_effects("exhaustive", ("en", "fr"), (3, 3), effect, share=1 / 3)
    assert truth.membership.sum(axis=1).tolist() == [2, 1]
    found = against_truth(detection(effect), truth)
    assert found.rank_correlation == pytest.approx(1.0)
    assert (found.auroc, found.precision_at_k) == (1.0, 1.0)


def test_what_does_not_fit_is_refused():
    truth = Truth("t", ("de",), (3, 3), np.zeros((1, 6), dtype=bool))
    with pytest.raises(UsageError, match="none of the languages"):
        against_truth(detection(np.zeros(6)), truth)
    with pytest.raises(UsageError, match="layers"):
        against_truth(detection(np.zeros(6)), Truth("t", ("en",), (6,), np.zeros((1, 6), dtype=bool)))
    with pytest.raises(UsageError, match="has shape"):
        Truth("t", ("en",), (3,), np.zeros((1, 6), dtype=bool))
