"""Languages among themselves: distances and trees by hand, Mantel's test against all relabellings, scripts split."""

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import pearsonr

from narrowing import present
from nharness.analysis.structure.relations import is_known, kin_distance, mantel, neuron_distances, tree
from nharness.analysis.structure.script_split import script_split
from nharness.languages import COMMON

TAGS = ("fr", "es", "de", "ru", "zh")


def test_distance_is_one_less_jaccard_and_the_tree_joins_the_nearest_first():
    membership = np.array([[1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 1, 1], [0, 0, 1, 1, 0]], dtype=bool)
    distances = neuron_distances(membership)
    assert distances[0, 1] == pytest.approx(1 / 3)
    assert distances[2, 3] == pytest.approx(2 / 3)
    assert distances[0, 2] == 1
    assert tree(distances, ("a", "b", "c", "d")) == "((a,b),(c,d))"
    assert tree(distances[:1, :1], ("a",)) == ""


def test_a_tree_of_very_many_languages_is_written():
    chain = np.tril(np.ones((400, 400), dtype=bool))
    assert tree(neuron_distances(chain), [f"l{n}" for n in range(400)]).count(",") == 399


def test_kin_is_branch_family_and_script():
    assert kin_distance("fr", "es") == 0
    assert kin_distance("fr", "de") == 0.25
    assert kin_distance("ru", "de") == 0.75
    assert kin_distance("zh", "ja") == 1
    assert kin_distance("hi", "hi-Latn") == 0.5
    assert all(is_known(tag) for tag in COMMON)


def test_mantel_is_pearson_over_pairs_and_p_counts_relabellings():
    rng = np.random.default_rng(4)
    noise = rng.random((5, 5))
    kin = np.array([[kin_distance(a, b) for b in TAGS] for a in TAGS])
    distances = kin + (noise + noise.T) * 0.4
    found = present(mantel(distances, kin, TAGS, seed=0))
    upper = np.triu_indices(5, 1)
    assert found.r == pytest.approx(pearsonr(distances[upper], kin[upper])[0])
    values = [pearsonr(distances[np.ix_(o, o)][upper], kin[upper])[0] for o in map(list, permutations(range(5)))]
    assert found.p == pytest.approx(np.mean(np.array(values) >= found.r - 1e-12))


def test_mantel_is_even_where_labels_mean_nothing():
    tags = ("fr", "es", "it", "de", "sv", "ru", "uk", "zh", "ja")
    kin = np.array([[kin_distance(a, b) for b in tags] for a in tags])
    ps = []
    for seed in range(60):
        noise = np.random.default_rng(seed).random((9, 9))
        ps.append(present(mantel(noise + noise.T, kin, tags, seed=seed)).p)
    assert 0.35 < np.mean(ps) < 0.65
    assert np.mean(np.array(ps) <= 0.05) < 0.15


@pytest.mark.parametrize("count", [2, 3])
def test_too_few_languages_are_not_tested(count):
    kin = np.array([[kin_distance(a, b) for b in TAGS[:count]] for a in TAGS[:count]])
    assert mantel(kin, kin, TAGS[:count], seed=0) is None


def test_harm_is_split_by_script():
    scripts = ("Latn", "Latn", "Latn", "Cyrl", "Cyrl")
    alike = np.equal.outer(scripts, scripts)
    harm = np.where(alike, 0.5, 0.1)
    found = present(script_split(harm, scripts, seed=0))
    assert (found.same, found.other, found.pairs) == (pytest.approx(0.5), pytest.approx(0.1), (8, 12))
    assert found.p == pytest.approx(12 / 120)  # orders that leave the two groups as they are
    turned = present(script_split(np.where(alike, 0.1, 0.5), scripts, seed=0))
    assert present(turned.p) > 0.5


def test_cells_that_were_not_measured_are_in_no_mean():
    harm = np.array([[9, 0.2, np.nan], [0.4, 9, 1.0], [2.0, np.nan, 9]])
    found = present(script_split(harm, ("Latn", "Latn", "Grek"), seed=0))
    assert (found.same, found.other, found.pairs) == (pytest.approx(0.3), pytest.approx(1.5), (2, 2))


@pytest.mark.parametrize("scripts", [("Latn", "Latn"), ("Latn", "Grek")])
def test_one_side_alone_is_no_split(scripts):
    assert script_split(np.ones((2, 2)), scripts, seed=0) is None
