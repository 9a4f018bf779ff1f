"""Detectors that compare activation probabilities, means and losses, against loops."""

import math

import numpy as np
import pytest

from nharness.detector import Evidence
from nharness.errors import UsageError
from nharness.statistics import Statistics
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
        [
            float(s) / int(n) if n else 0.0
            for s, n in zip(recorded.get("moments", "sum", t), recorded.tokens(t), strict=True)
        ]
        for t in recorded.languages
    ]


@pytest.fixture(params=[(2, False), (5, False), (4, True)], ids=["2", "5", "experts"])
def evidence(request, evidence_of):
    languages, routed = request.param
    return evidence_of(languages, (40, 25, 60), seed=languages, routed=routed, ties=False)


def test_lap(evidence):
    recorded = evidence.statistics("gate")
    scores = [
        [
            c / n if n else 0.0
            for c, n in zip(recorded.get("activation_count", "positive", t), recorded.tokens(t), strict=True)
        ]
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
        [
            max(float(q) / int(n) - m * m, 0.0) if n else 0.0
            for q, n, m in zip(recorded.get("moments", "sumsq", t), recorded.tokens(t), row, strict=True)
        ]
        for t, row in zip(recorded.languages, means, strict=True)
    ]
    pooled = [math.sqrt(math.fsum(column) / len(column)) for column in zip(*variances, strict=True)]
    columns = list(zip(*means, strict=True))
    scores = [
        [abs(c[k] - others(c, k)) / s if s > 0 else 0.0 for c, s in zip(columns, pooled, strict=True)]
        for k in range(len(means))
    ]
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
        [-float(s) / recorded.totals[t].tokens for s in recorded.get("attribution", "sum", t)]
        for t in recorded.languages
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
    return [
        [float(s) / recorded.totals[t].tokens for s in recorded.get("relevance", "sum", t)] for t in recorded.languages
    ]


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
    columns = list(zip(*(evidence.loss_changes[f"delta/{tag}"].tolist() for tag in evidence.languages), strict=True))
    scores = [[c[k] - others(c, k) for c in columns] for k in range(len(columns[0]))]
    assert_top_of_each(Exhaustive(top_rate=0.1)(evidence), scores, 0.1)
    bare = [list(row) for row in zip(*columns, strict=True)]
    assert_top_of_each(Exhaustive(top_rate=0.1, contrast=False)(evidence), bare, 0.1)


def test_exhaustive_needs_every_languages_losses(evidence):
    tag = evidence.languages[-1]
    with pytest.raises(UsageError, match=f"needs 125 changes of loss for '{tag}', one per neuron; got none"):
        Exhaustive()(
            Evidence(
                evidence.sites,
                loss_changes={n: v for n, v in evidence.loss_changes.items() if not n.endswith(f"/{tag}")},
            )
        )
    with pytest.raises(UsageError, match=r"got shape \(3,\)"):
        Exhaustive()(Evidence(evidence.sites, loss_changes=dict.fromkeys(evidence.loss_changes, np.zeros(3))))


def moments_by_hand(from_statistic):
    """100 tokens: means en 2, 1 and de 0, 1; variances en 1, 0 and de 3, 0."""
    rows = [{"sum": [200.0, 100.0], "sumsq": [500.0, 100.0]}, {"sum": [0.0, 100.0], "sumsq": [300.0, 100.0]}]
    made = from_statistic("gate", "moments", rows, tokens=100).statistics("gate")
    counts = {f"activation_count/positive/{tag}": np.array([50, 50]) for tag in made.languages}
    return Evidence({"gate": Statistics("gate", made.layer_widths, made.totals, {**made.tensors, **counts})})


def test_lap_by_hand(from_counts):
    found = Lap(top_rate=1 / 3)(from_counts([[90, 10, 50], [20, 80, 50]], [100, 100]))
    assert found.score == pytest.approx(np.array([[0.9, 0.1, 0.5], [0.2, 0.8, 0.5]]))
    assert found.membership.tolist() == [[True, False, False], [False, True, False]]


def test_means_by_hand(from_statistic):
    evidence = moments_by_hand(from_statistic)
    assert DiffMean(top_rate=0.5)(evidence).score.tolist() == [[2, 0], [2, 0]]
    assert EffectSize(top_rate=0.5)(evidence).score == pytest.approx(np.array([[2**0.5, 0], [2**0.5, 0]]))
    lave = Lave(top_rate=0.5, filter_rate=0.5, activation_bar=0.5)(evidence)  # both bars: second of 0, 1, 1, 2
    assert lave.score[0] == 0  # all of the mean is en's
    assert lave.membership.tolist() == [[True, False], [False, False]]


def test_crane_by_hand(from_statistic):
    rows = [
        {"sum": [-300.0, 100.0, 100.0, 100.0]},
        {"sum": [0.0, 0.0, -200.0, -200.0]},
    ]  # relevance 3 -1 -1 -1; 0 0 2 2
    found = Crane()(from_statistic("hidden", "attribution", rows, tokens=100))
    assert found.score == pytest.approx(np.array([[3**0.5, *[-(3**-0.5)] * 3], [-1, -1, 1, 1]]))
    assert found.membership.tolist() == [[True, False, False, False], [False] * 4]


def test_exhaustive_by_hand(from_counts):
    evidence = from_counts([[1, 1], [1, 1]], [10, 10])
    evidence = Evidence(
        evidence.sites, loss_changes={"delta/en": np.array([1.0, 0.0]), "delta/de": np.array([0.5, 2.0])}
    )
    found = Exhaustive(top_rate=0.5)(evidence)
    assert found.score.tolist() == [[0.5, -2], [-0.5, 2]]
    assert found.membership.tolist() == [[True, False], [False, True]]
