"""Agreement of repeats by hand, and counts against shuffled labels."""

import numpy as np
import pytest

from narrowing import present
from nharness.analysis.stability import label_shuffle, stability
from nharness.errors import UsageError
from nharness.neurons import Detection


def detection(members, score=None):
    membership = np.zeros((2, 6), dtype=bool)
    for row, places in enumerate(members):
        membership[row, list(places)] = True
    score = np.arange(6) if score is None else score
    return Detection("d", ("en", "fr"), (3, 3), membership, np.asarray(score, dtype=np.float32), "highest")


def test_mean_jaccard_over_pairs_by_hand():
    folds = [detection([(0, 1), ()]), detection([(1, 2), ()]), detection([(0, 1), (5,)], score=-np.arange(6))]
    found = stability(folds)
    # en: 1/3, 1, 1/3; fr: both empty (left out), 0, 0
    assert found.languages["en"] == pytest.approx((1 / 3 + 1 + 1 / 3) / 3)
    assert found.languages["fr"] == 0.0
    assert found.jaccard == pytest.approx(present(found.languages["en"]) / 2)
    assert found.rank_correlation == pytest.approx((1 - 1 - 1) / 3)
    assert (found.kind, found.repeats) == ("folds", 3)


def test_languages_without_neurons_in_any_repeat_are_null():
    found = stability([detection([(0,), ()]), detection([(0,), ()])])
    assert found.languages == {"en": 1.0, "fr": None}
    with pytest.raises(UsageError, match="got 1"):
        stability([detection([(0,), ()])])


def test_counts_against_shuffled_labels():
    found = label_shuffle(detection([(0, 1, 2), (3,)]), [detection([(0,), (0,)]), detection([(0, 1, 2), ()])])
    assert found.languages["en"].shuffled == (1, 3)
    assert found.languages["en"].p == pytest.approx(2 / 3)
    assert found.languages["fr"].observed == 1
    assert found.kinds["specific"].observed == 4
    assert found.kinds["general"].shuffled == (1, 0)
    assert found.kinds["specific"].p == pytest.approx(1 / 3)
    with pytest.raises(UsageError, match="shuffling"):
        label_shuffle(detection([(), ()]), [])
