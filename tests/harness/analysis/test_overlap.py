"""Agreement of two detections against Python sets and scipy's rank correlation."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from nharness.analysis.overlap import compare_detections, overlap, rank_correlation
from nharness.errors import UsageError
from nharness.neurons import Detection

WIDTHS = (30, 20, 50)


def detection(seed, languages=("en", "de", "zh"), *, widths=WIDTHS, one_score=False, best="highest"):
    random = np.random.default_rng(seed)
    size = (len(languages), sum(widths))
    score = np.round(random.standard_normal(size[1:] if one_score else size), 1).astype(np.float32)
    return Detection(f"d{seed}", languages, widths, random.random(size) < 0.3, score, best)


def test_every_number_against_sets():
    a, b = detection(1), detection(2, ("zh", "en", "fr"))
    found = compare_detections(a, b)
    assert tuple(found.languages) == ("en", "zh")
    assert (found.only_first, found.only_second) == (("de",), ("fr",))
    for tag, entry in found.languages.items():
        mine, theirs = (set(map(tuple, each.neurons(tag).tolist())) for each in (a, b))
        assert entry.whole.shared == len(mine & theirs)
        assert entry.whole.jaccard == len(mine & theirs) / len(mine | theirs)
        assert (entry.whole.first, entry.whole.second) == (len(mine), len(theirs))
        for layer, part in enumerate(entry.layers):
            one, two = ({pair for pair in side if pair[0] == layer} for side in (mine, theirs))
            assert part.shared == len(one & two)
            assert part.jaccard == len(one & two) / len(one | two)
        expected = spearmanr(a.score[a.row(tag)], b.score[b.row(tag)]).statistic
        assert entry.rank_correlation == pytest.approx(expected, abs=1e-12)
    assert found.mean_jaccard == pytest.approx(np.mean([e.whole.jaccard for e in found.languages.values()]))


def test_a_detection_agrees_with_itself():
    found = compare_detections(detection(1), detection(1))
    assert all(
        entry.whole.jaccard == 1 and entry.rank_correlation == pytest.approx(1) for entry in found.languages.values()
    )


def test_lowest_is_best_turns_the_ranks():
    a, b = detection(1), detection(1, best="lowest")
    assert compare_detections(a, b).mean_rank_correlation == pytest.approx(-1)


def test_random_sets_reach_the_jaccard_expected_of_them():
    found = [compare_detections(detection(s), detection(s + 1000)).languages["en"].whole for s in range(300)]
    assert np.mean([e.jaccard for e in found]) == pytest.approx(np.mean([e.expected for e in found]), abs=0.01)


def test_two_empty_sets_have_no_jaccard():
    nothing = np.zeros(5, dtype=bool)
    assert overlap(nothing, nothing).jaccard is None
    assert overlap(nothing, ~nothing).jaccard == 0


def test_rank_correlation_needs_something_to_rank():
    assert rank_correlation(np.array([1.0, 2.0]), np.array([1.0, 2.0])) is None
    assert rank_correlation(np.ones(5), np.arange(5.0)) is None
    scores = np.array([1.0, 2.0, 3.0, -np.inf])
    assert rank_correlation(scores, np.array([2.0, 4.0, 9.0, 1.0])) == pytest.approx(1)


def test_other_models_and_languages_are_refused():
    with pytest.raises(UsageError, match="belong to a model of 3 layers"):
        compare_detections(detection(1), detection(2, widths=(50, 50)))
    with pytest.raises(UsageError, match="share no language"):
        compare_detections(detection(1), detection(2, ("fr", "es")))
