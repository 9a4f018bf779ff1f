"""Detectors that read one response a document, against loops and scikit-learn."""

import math
import warnings

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from narrowing import present
from nharness.errors import OptionError, UsageError
from nharness_detectors.average_precision import AveragePrecision, average_precisions, signs
from nharness_detectors.lingua_franca import LinguaFranca
from nharness_detectors.plnd import Plnd
from nharness_detectors.probe import Probe


def sentence_scores(sentences):
    """Mean product of every unordered pair of sentences, pair by pair."""
    vectors = []
    for v in np.asarray(sentences, dtype=np.float64):
        norm = math.sqrt(math.fsum(x * x for x in v))
        vectors.append([(x / norm if norm else 0.0) + 1e-5 for x in v])
    pairs = [(a, b) for i, a in enumerate(vectors) for b in vectors[:i]]
    return [math.fsum(a[j] * b[j] for a, b in pairs) / len(pairs) for j in range(len(vectors[0]))]


@pytest.mark.parametrize("languages", [2, 3, 6])
def test_lingua_franca(evidence_of, languages):
    evidence = evidence_of(languages, (30, 50), seed=languages)
    recorded = evidence.statistics("hidden")
    score = np.array([sentence_scores(recorded.get("document_mean", "mean", tag)) for tag in recorded.languages])
    z = (score - score.mean(axis=0)) / score.std(axis=0)
    found = LinguaFranca()(evidence)
    assert found.score == pytest.approx(z, abs=1e-4)
    threshold = min(2.0, 0.9 * math.sqrt(languages - 1))
    assert found.notes["threshold"] == threshold
    clear = np.abs(z - threshold) > 1e-6
    assert (found.membership == (z > threshold))[clear].all()
    assert LinguaFranca(top_rate=0.1)(evidence).membership.sum(axis=1).tolist() == [8] * languages


def test_lingua_franca_by_hand(from_statistic):
    # two sentences of two neurons each; en repeats one direction, de turns
    rows = [{"mean": np.array([[3, 4], [3, 4]], "f4")}, {"mean": np.array([[1, 0], [0, 1]], "f4")}]
    found = LinguaFranca(threshold=0.5)(from_statistic("hidden", "document_mean", rows))
    assert found.score == pytest.approx(np.array([[1, 1], [-1, -1]]))  # .36 and .64 against about 0
    assert found.flat("en").tolist() == [0, 1]


def test_a_threshold_that_no_z_can_reach_is_an_error(evidence_of):
    with pytest.raises(OptionError, match=r"no z-score over 4 languages exceeds 1\.732"):
        LinguaFranca(threshold=2)(evidence_of(4))
    with pytest.raises(OptionError):
        LinguaFranca(threshold=1)(evidence_of(2))
    LinguaFranca(threshold=1.7)(evidence_of(4))


def test_lingua_franca_does_not_depend_on_the_scale_of_a_sentence(evidence_of, from_statistic):
    random = np.random.default_rng(0)
    rows = [{"mean": random.standard_normal((5, 30)).astype("f4")} for _ in range(3)]
    longer = [{"mean": row["mean"] * np.array([[1], [2], [4], [8], [16]], "f4")} for row in rows]
    a, b = (LinguaFranca()(from_statistic("hidden", "document_mean", each)) for each in (rows, longer))
    assert (a.membership == b.membership).all()
    assert a.score == pytest.approx(b.score, abs=1e-4)


def test_one_sentence_makes_no_pair(from_statistic):
    rows = [{"mean": np.ones((2, 5), "f4")}, {"mean": np.ones((1, 5), "f4")}]
    with pytest.raises(UsageError, match="needs at least 2 documents per language; 'de' has 1"):
        LinguaFranca()(from_statistic("hidden", "document_mean", rows))


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_average_precision_is_scikit_learns(ties, seed):
    random = np.random.default_rng(seed)
    counts = [5, 9, 1, 12]
    shape = (60, sum(counts))
    response = random.integers(-2, 3, shape).astype("f4") if ties else random.standard_normal(shape, dtype="f4")
    label = np.repeat(np.arange(4), counts)
    found = average_precisions(response, counts)
    for k in range(4):
        for j in range(60):
            assert found[k, j] == pytest.approx(average_precision_score(label == k, response[j]), abs=1e-12)


def test_average_precision_by_hand(from_statistic):
    # responses high to low: en de en | de; AP(en) = 1/2 (1 + 2/3), AP(de) = 1/2 (1/2 + 2/4)
    rows = [{"mean": np.array([[9, 1, 1], [5, 2, 1]], "f4")}, {"mean": np.array([[7, 8, 1], [0, 9, 1]], "f4")}]
    found = AveragePrecision(count=1)(from_statistic("hidden", "document_mean", rows))
    assert found.score[:, 0] == pytest.approx([5 / 6, 1 / 2])
    assert found.score[:, 1] == pytest.approx([5 / 12, 1])  # en comes third and fourth: 1/2 (1/3 + 2/4)
    assert found.flat("en").tolist() == [0, 1]
    assert signs(found).tolist() == [[1, -1, 0], [-1, 1, 0]]


def test_both_ends_are_kept_apart(evidence_of):
    evidence = evidence_of(4, (50, 70), ties=True)
    found = AveragePrecision(count=10)(evidence)
    sign = signs(found)
    for row in range(4):
        assert ((sign[row] == 1).sum(), (sign[row] == -1).sum()) == (10, 10)
        assert found.score[row][sign[row] == 1].min() >= found.score[row][sign[row] == -1].max()
    assert (np.abs(signs(found.cut(0.05))) == found.cut(0.05).membership).all()  # what a budget drops has no sign
    top, bottom = (AveragePrecision(count=10, half=half)(evidence) for half in ("top", "bottom"))
    assert (top.membership | bottom.membership == found.membership).all()
    assert (signs(top) >= 0).all()
    assert (signs(bottom) <= 0).all()
    response = np.concatenate(
        [evidence.statistics("hidden").get("document_mean", "mean", t) for t in evidence.languages]
    )
    constant = response.max(axis=0) == response.min(axis=0)
    assert constant.any()
    assert not found.membership[:, constant].any()


def test_halves_do_not_meet_where_all_are_equal(from_statistic):
    same = np.array([[1.0], [2.0]], "f4").repeat(9, axis=1)
    found = AveragePrecision(count=3)(from_statistic("hidden", "document_mean", [{"mean": same}, {"mean": same}]))
    assert np.flatnonzero(signs(found)[0] == 1).tolist() == [0, 1, 2]
    assert np.flatnonzero(signs(found)[0] == -1).tolist() == [3, 4, 5]


def test_halves_do_not_meet_in_a_small_model(evidence_of):
    found = AveragePrecision()(evidence_of(3, (15, 16)))
    assert (np.abs(signs(found)).sum(axis=1) == 30).all()


def kept_by_layer(row, widths, rate):
    """Indices of a document's most important neurons, layer by layer."""
    kept, start = set(), 0
    for width in widths:
        ranked = sorted((-row[j], j) for j in range(start, start + width) if row[j] > 0)
        kept |= {j for _, j in ranked[: max(1, round(rate * width))]}
        start += width
    return kept


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize(("importance", "tensor"), [("output_change", "mean"), ("up_magnitude", "sum")])
@pytest.mark.parametrize("consensus", [1.0, 0.5])
def test_plnd(evidence_of, ties, importance, tensor, consensus):
    widths = (30, 17, 1, 45)
    evidence = evidence_of(3, widths, seed=5, ties=ties)
    recorded = evidence.statistics("hidden")
    found = Plnd(importance=importance, top_rate=0.5, consensus=consensus)(evidence)
    share, consistent = [], []
    for tag in recorded.languages:
        documents = [kept_by_layer(row, widths, 0.5) for row in recorded.get(importance, tensor, tag)]
        times = [sum(j in kept for kept in documents) for j in range(sum(widths))]
        share.append([n / len(documents) for n in times])
        consistent.append([n >= consensus * len(documents) for n in times])
    for k in range(3):
        for j in range(sum(widths)):
            everywhere = all(row[j] for row in consistent)
            assert found.membership[k, j] == (consistent[k][j] and not everywhere)
            rest = sum(share[i][j] for i in range(3) if i != k) / 2
            assert found.score[k, j] == pytest.approx(share[k][j] - rest, abs=1e-6)
    assert (present(found.candidates) == np.array(consistent)).all()


def test_plnd_general_neurons_are_those_of_every_language(from_statistic):
    rows = [{"mean": np.array([[9, 8, 1, 0.0], [8, 9, 0, 1]], "f4")}, {"mean": np.array([[9, 1, 8, 0.0]], "f4")}]
    found = Plnd(top_rate=0.5)(from_statistic("hidden", "output_change", rows))
    assert found.flat("en").tolist() == [1]
    assert found.flat("de").tolist() == [2]
    assert found.kinds(over="all").tolist() == [2, 0, 0, 3]


def test_plnd_never_keeps_a_silent_neuron(from_statistic):
    rows = [{"mean": np.array([[0, 0, 0, 5.0]], "f4")}, {"mean": np.array([[0, 0, 0, 0.0]], "f4")}]
    found = Plnd(top_rate=0.75)(from_statistic("hidden", "output_change", rows))
    assert found.flat("en").tolist() == [3]
    assert found.flat("de").size == 0


def test_probe_finds_the_neurons_that_tell_the_language(from_statistic):
    random = np.random.default_rng(0)
    rows = []
    for k in range(3):
        mean = 0.3 * random.standard_normal((20, 40)).astype("f4")
        mean[:, 7 * k] += 2
        mean[:, 39] = 1
        rows.append({"mean": mean})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = Probe(C=0.1)(from_statistic("hidden", "document_mean", rows))
    for k in range(3):
        assert found.score[k].argmax() == 7 * k
        assert found.membership[k, 7 * k]
        assert found.membership[k].sum() < 10
    assert (found.score[:, 39] == 0).all()  # it never varies
    assert found.notes["not_converged"] == []


def test_probe_satisfies_the_optimality_conditions(from_statistic):
    """At the minimum of sum of weighted log losses * C + |w|: gradient = -sign(w) where w is not 0, at most 1 elsewhere."""
    random = np.random.default_rng(1)
    rows = [{"mean": (random.standard_normal((15, 12)) + k * random.random(12)).astype("f4")} for k in range(2)]
    found = Probe(C=0.3, iterations=100_000)(from_statistic("hidden", "document_mean", rows))
    features = np.concatenate([row["mean"] for row in rows]).astype(np.float64)
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    label = np.repeat([1, -1], 15)
    weight = found.score[0].astype(np.float64)
    best = min((objective(weight, bias, features, label), bias) for bias in np.linspace(-5, 5, 2001))[1]
    margin = label * (features @ weight + best)
    gradient = -0.3 * (features * (label / (1 + np.exp(margin)))[:, None]).sum(axis=0)
    used = weight != 0
    assert used.any()
    assert gradient[used] == pytest.approx(-np.sign(weight[used]), abs=0.1)
    assert (np.abs(gradient[~used]) <= 1.1).all()


def objective(weight, bias, features, label):
    return 0.3 * np.log1p(np.exp(-label * (features @ weight + bias))).sum() + np.abs(weight).sum() + abs(bias)


def test_probe_says_which_language_did_not_converge(evidence_of):
    assert Probe(iterations=1)(evidence_of(3, (50,))).notes["not_converged"]
