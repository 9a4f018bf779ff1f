"""Detectors that compare activation probabilities, means and losses, against loops."""

import math

import numpy as np
import pytest

from nharness.detector import Evidence
from nharness.errors import UsageError
from nharness_detectors.attribution import Attribution
from nharness_detectors.crane import Crane
from nharness_detectors.diff_mean import DiffMean
from nharness_detectors.effect_size import EffectSize
from nharness_detectors.exhaustive import Exhaustive
from nharness_detectors.lap import Lap
from nharness_detectors.lave import Lave


def top(score, count):
    """The `count` largest above 0, ties to the first."""
    ranked = sorted((-value, j) for j, value in enumerate(score) if value > 0)
    return {j for _, j in ranked[:count]}


def assert_top_of_each(found, scores, rate):
    for row, score in enumerate(scores):
        assert set(np.flatnonzero(found.membership[row]).tolist()) == top(score, round(rate * len(score)))
    assert found.score == pytest.approx(np.array(scores), rel=1e-5, abs=1e-6)


def others(values, k):
    rest = [value for i, value in enumerate(values) if i != k]
    return math.fsum(rest) / len(rest)


def column_means(evidence):
    recorded = evidence.statistics("gate")
    return [
        [float(s) / int(n) if n else 0.0 for s, n in zip(recorded.get("moments", "sum", t), recorded.tokens(t), strict=True)]
        for t in recorded.languages
    ]


@pytest.fixture(params=[(2, False), (5, False), (4, True)], ids=["2", "5", "experts"])
def evidence(request, evidence_of):
    languages, routed = request.param
    return evidence_of(languages, (40, 25, 60), seed=languages, routed=routed, ties=False)


def test_lap(evidence):
    recorded = evidence.statistics("gate")
    scores = [
        [c / n if n else 0.0 for c, n in zip(recorded.get("activation_count", "positive", t), recorded.tokens(t), strict=True)]
        for t in recorded.languages
    ]
    assert_top_of_each(Lap(top_rate=0.1)(evidence), scores, 0.1)
    found = Lap(threshold=0.4)(evidence)
    assert found.membership.tolist() == [[p > 0.4 for p in row] for row in scores]


def test_lave_is_lape_of_clipped_means(evidence):
    found = Lave(top_rate=0.1)(evidence)
    values = [[max(m, 0.0) for m in row] for row in column_means(evidence)]
    ordered = sorted(v for row in values for v in row)
    bar = ordered[round(0.95 * len(ordered)) - 1]
    for j, column in enumerate(zip(*values, strict=True)):
        total = math.fsum(column)
        entropy = -math.fsum(v / total * math.log(v / total) for v in column if v > 0)
        if max(column) > bar:
            assert found.score[j] == pytest.approx(entropy, abs=1e-6)
        else:
            assert found.score[j] == math.inf
    assert (found.membership <= (np.array(values) > bar)).all()
    assert found.membership.any(axis=0).sum() <= round(0.1 * 125)


def test_difference_of_means(evidence):
    means = column_means(evidence)
    columns = list(zip(*means, strict=True))
    scores = [[abs(c[k] - others(c, k)) for c in columns] for k in range(len(means))]
    assert_top_of_each(DiffMean(top_rate=0.1)(evidence), scores, 0.1)


def test_effect_size(evidence):
    recorded = evidence.statistics("gate")
    means = column_means(evidence)
    variances = [
        [max(float(q) / int(n) - m * m, 0.0) if n else 0.0
         for q, n, m in zip(recorded.get("moments", "sumsq", t), recorded.tokens(t), row, strict=True)]
        for t, row in zip(recorded.languages, means, strict=True)
    ]  # fmt: skip
    pooled = [math.sqrt(math.fsum(column) / len(column)) for column in zip(*variances, strict=True)]
    columns = list(zip(*means, strict=True))
    scores = [[abs(c[k] - others(c, k)) / s if s > 0 else 0.0 for c, s in zip(columns, pooled, strict=True)]
              for k in range(len(means))]  # fmt: skip
    assert_top_of_each(EffectSize(top_rate=0.1)(evidence), scores, 0.1)


def test_effect_size_of_a_neuron_that_never_varies_is_zero(from_statistic):
    rows = [{"sum": [100.0, 10.0], "sumsq": [100.0, 30.0]}, {"sum": [200.0, 0.0], "sumsq": [400.0, 20.0]}]
    evidence = from_statistic("gate", "moments", rows)
    recorded = evidence.statistics("gate")
    counted = {f"activation_count/positive/{tag}": np.array([1, 1]) for tag in recorded.languages}
    recorded.tensors.update(counted)
    found = EffectSize(top_rate=1)(evidence)
    assert found.score[:, 0].tolist() == [0, 0]
    assert found.score[0, 1] == pytest.approx(0.1 / math.sqrt((0.3 - 0.01 + 0.2) / 2))


def effects(evidence):
    recorded = evidence.statistics("hidden")
    return [
        [-float(s) / recorded.totals[t].tokens for s in recorded.get("attribution", "sum", t)] for t in recorded.languages
    ]


def test_attribution(evidence):
    columns = list(zip(*effects(evidence), strict=True))
    scores = [[c[k] - others(c, k) for c in columns] for k in range(len(columns[0]))]
    assert_top_of_each(Attribution(top_rate=0.1)(evidence), scores, 0.1)


def test_attribution_by_hand(from_statistic):
    evidence = from_statistic("hidden", "attribution", [{"sum": [-50.0, 10.0]}, {"sum": [-10.0, -30.0]}], tokens=100)
    found = Attribution(top_rate=0.5)(evidence)
    assert found.score == pytest.approx(np.array([[0.4, -0.4], [-0.4, 0.4]]))
    assert found.membership.tolist() == [[True, False], [False, True]]


def relevances(evidence):
    recorded = evidence.statistics("hidden")
    return [[float(s) / recorded.totals[t].tokens for s in recorded.get("relevance", "sum", t)] for t in recorded.languages]


@pytest.mark.parametrize("contrast", [True, False])
@pytest.mark.parametrize(("relevance", "rows"), [("gradient_x_activation", effects), ("lrp", relevances)])
def test_crane(evidence, contrast, relevance, rows):
    found = Crane(contrast=contrast, threshold=0.5, relevance=relevance)(evidence)
    standardised = []
    for row in rows(evidence):
        mean = math.fsum(row) / len(row)
        deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in row) / len(row))
        standardised.append([(v - mean) / deviation for v in row])
    z = np.array(standardised)
    assert found.score == pytest.approx(z, abs=1e-5)
    own = z > 0.5
    assert (found.membership == (own & (z == z.max(axis=0)) if contrast else own)).all()


def test_exhaustive(evidence):
    columns = list(zip(*(evidence.losses[f"delta/{tag}"].tolist() for tag in evidence.languages), strict=True))
    scores = [[c[k] - others(c, k) for c in columns] for k in range(len(columns[0]))]
    assert_top_of_each(Exhaustive(top_rate=0.1)(evidence), scores, 0.1)
    bare = [list(row) for row in zip(*columns, strict=True)]
    assert_top_of_each(Exhaustive(top_rate=0.1, contrast=False)(evidence), bare, 0.1)


def test_exhaustive_needs_every_languages_losses(evidence):
    tag = evidence.languages[-1]
    with pytest.raises(UsageError, match=f"needs 125 losses of '{tag}', one a neuron; got none"):
        Exhaustive()(Evidence(evidence.sites, losses={n: v for n, v in evidence.losses.items() if not n.endswith(f"/{tag}")}))
    with pytest.raises(UsageError, match=r"got shape \(3,\)"):
        Exhaustive()(Evidence(evidence.sites, losses=dict.fromkeys(evidence.losses, np.zeros(3))))
