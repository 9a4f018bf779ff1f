"""LRDS and SADS: a case by hand, brute force over all pairs, invariants, and what is refused."""

import numpy as np
import pytest

from narrowing import present
from nharness.analysis.alignment import Resampling, alignment, parallel, retrieval
from nharness.errors import UsageError


def test_by_hand():
    # two languages, two meanings, one layer of two components; cosines are 1 or 0
    vectors = {"en": np.array([[1.0, 0.0], [0.0, 1.0]]), "fr": np.array([[2.0, 0.0], [3.0, 0.0]])}
    found = alignment(vectors, (2,)).whole
    # same language, other meaning: en 0, fr 1 -> 1/2. same meaning: (1, 0) -> 1/2. neither: en0-fr1 1, en1-fr0 0 -> 1/2
    assert (found.same_language, found.same_meaning, found.neither) == (0.5, 0.5, 0.5)
    assert (found.lrds, found.sads) == (0.0, 0.0)
    aligned = alignment({"en": vectors["en"], "fr": 5 * vectors["en"]}, (2,)).whole
    assert (aligned.lrds, aligned.sads) == (0.0, 1.0)


def brute(vectors):
    tags, sums = list(vectors), {"language": [], "meaning": [], "neither": []}
    for k in tags:
        for m in tags:
            for s, x in enumerate(vectors[k]):
                for r, y in enumerate(vectors[m]):
                    if k == m and s == r:
                        continue
                    cosine = x @ y / (np.linalg.norm(x) * np.linalg.norm(y))
                    sums["language" if k == m else "meaning" if s == r else "neither"].append(cosine)
    language, meaning, neither = (np.mean(sums[name]) for name in ("language", "meaning", "neither"))
    return language - neither, meaning - neither


def test_all_pairs_by_brute_force_whole_and_per_layer():
    rng = np.random.default_rng(61)
    vectors = {tag: rng.normal(size=(7, 9)) + rng.normal(size=9) for tag in ("en", "zh", "fr")}
    found = alignment(vectors, (4, 5))
    assert (found.whole.lrds, found.whole.sads) == pytest.approx(brute(vectors))
    for layer, part in ((0, slice(0, 4)), (1, slice(4, 9))):
        expected = brute({tag: rows[:, part] for tag, rows in vectors.items()})
        assert (found.layers[layer].lrds, found.layers[layer].sads) == pytest.approx(expected)
    assert found.sentences == 7


def test_order_of_sentences_length_of_vectors_and_language_order_do_not_matter():
    rng = np.random.default_rng(62)
    vectors = {tag: rng.normal(size=(6, 4)) for tag in ("en", "zh", "fr")}
    order = rng.permutation(6)
    other = {tag: 7 * vectors[tag][order] for tag in ("fr", "zh", "en")}
    first, second = alignment(vectors, (4,)).whole, alignment(other, (4,)).whole
    assert (second.lrds, second.sads) == pytest.approx((first.lrds, first.sads))
    shifted = {**vectors, "zh": np.roll(vectors["zh"], 1, axis=0)}  # meanings out of step must show
    assert alignment(shifted, (4,)).whole.sads != pytest.approx(first.sads)


def test_a_vector_of_length_zero_is_like_nothing():
    vectors = {"en": np.array([[0.0, 0.0], [1.0, 0.0]]), "fr": np.array([[1.0, 0.0], [1.0, 0.0]])}
    assert alignment(vectors, (2,)).whole.same_meaning == 0.5


def test_parallel_rows_by_id():
    ids = {"en": ["a", "b", "c"], "fr": ["c", "x", "a"]}
    vectors = {"en": np.array([[1.0], [2.0], [3.0]]), "fr": np.array([[30.0], [0.0], [10.0]])}
    found = parallel(ids, vectors)
    assert found["en"].ravel().tolist() == [1.0, 3.0]
    assert found["fr"].ravel().tolist() == [10.0, 30.0]
    with pytest.raises(UsageError, match="0 sentences"):
        parallel({"en": ["a", "b"], "fr": ["c", "d"]}, vectors)
    with pytest.raises(UsageError, match="repeated in fr"):
        parallel({"en": ["a", "b"], "fr": ["a", "a"]}, vectors)


def test_wrong_shapes_are_refused():
    with pytest.raises(UsageError, match="two or more languages"):
        alignment({"en": np.ones((3, 2))}, (2,))
    with pytest.raises(UsageError, match="expected"):
        alignment({"en": np.ones((3, 2)), "fr": np.ones((3, 2))}, (3,))
    with pytest.raises(UsageError, match="NaN"):
        alignment({"en": np.full((3, 2), np.nan), "fr": np.ones((3, 2))}, (2,))


def test_retrieval_finds_translations_where_they_are_nearest():
    rng = np.random.default_rng(63)
    meaning, language = rng.normal(size=(40, 20)), 0.5 * rng.normal(size=(3, 1, 20))
    near = dict(zip(("en", "zh", "fr"), meaning + language + 0.01 * rng.normal(size=(3, 40, 20)), strict=True))
    found = retrieval(near, (12, 8), Resampling())
    assert (found.whole, found.interval, found.chance) == (1.0, (1.0, 1.0), 1 / 40)
    shifted = retrieval({**near, "zh": np.roll(near["zh"], 1, axis=0)}, (12, 8), Resampling())
    assert shifted.whole == pytest.approx(1 / 3)  # en and fr still find each other
    noise = {tag: rng.normal(size=(40, 20)) for tag in near}
    low, high = retrieval(noise, (12, 8), Resampling()).interval
    assert low <= 1 / 40 <= high


def test_retrieval_counts_pairs_by_hand_and_a_tie_is_a_miss():
    en = np.array([[1.0, 0.0], [0.0, 1.0]])
    fr = np.array([[1.0, 0.1], [1.0, 0.2]])
    # en a -> fr a right; en b -> fr b right; fr a -> en a right; fr b -> en a wrong
    found = retrieval({"en": en, "fr": fr}, (1, 1), Resampling())
    assert found.whole == 0.75
    assert found.hits.tolist() == [1.0, 0.5]
    assert retrieval({"en": en, "fr": np.ones((2, 2))}, (2,), Resampling()).whole == 0.0


def test_intervals_hold_what_other_sentences_would_have_given():
    rng = np.random.default_rng(64)
    basis = rng.normal(size=(30, 3, 30))
    covered = 0
    for _ in range(100):
        meanings = rng.normal(size=(60, 1, 12)) + rng.normal(size=(60, 3, 12)) + basis[0, :, :12]
        found = alignment(
            dict(zip(("en", "zh", "fr"), meanings.transpose(1, 0, 2), strict=True)), (12,), Resampling(100)
        )
        many = rng.normal(size=(600, 1, 12)) + rng.normal(size=(600, 3, 12)) + basis[0, :, :12]
        true = alignment(dict(zip(("en", "zh", "fr"), many.transpose(1, 0, 2), strict=True)), (12,)).whole
        low, high = present(found.whole.sads_interval)
        covered += low <= true.sads <= high
    assert covered >= 85
