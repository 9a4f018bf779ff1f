"""Random controls: what they keep of the reference, and that nothing else is kept."""

import numpy as np
import pytest

from nharness.detector import Evidence
from nharness.errors import UsageError
from nharness.neurons import Detection
from nharness_detectors.lape import Lape
from nharness_detectors.random import Random

WIDTHS = (60, 25, 115)


@pytest.fixture
def evidence(evidence_of):
    plain = evidence_of(5, WIDTHS, seed=4)
    return Evidence(plain.sites, reference=Lape(top_rate=0.2, activation_bar=0.8, filter_rate=0.8)(plain))


def per_layer(membership):
    return np.array([[part.sum() for part in np.split(row, np.cumsum(WIDTHS)[:-1])] for row in membership])


@pytest.mark.parametrize("match", ["layer", "frequency", "uniform"])
@pytest.mark.parametrize("seed", range(3))
def test_every_language_keeps_its_number_of_neurons(evidence, match, seed):
    found = Random(match=match, seed=seed)(evidence)
    assert found.languages == evidence.reference.languages
    assert (found.membership.sum(axis=1) == evidence.reference.membership.sum(axis=1)).all()
    assert found.membership.sum() > 0
    same_layers = (per_layer(found.membership) == per_layer(evidence.reference.membership)).all()
    assert same_layers == (match != "uniform")
    assert (found.membership != evidence.reference.membership).any()


@pytest.mark.parametrize("match", ["layer", "uniform"])
def test_every_kind_keeps_its_size(evidence, match):
    found = Random(match=match)(evidence)
    counts = [np.bincount(each.kinds(), minlength=4).tolist() for each in (found, evidence.reference)]
    assert counts[0] == counts[1]


def test_frequency_keeps_each_bin_of_each_layer(evidence):
    found = Random(match="frequency", bins=4)(evidence)
    probability = evidence.statistics("gate").activation_probability()
    start = 0
    for width in WIDTHS:
        for row in range(5):
            order = np.argsort(probability[row, start : start + width], kind="stable") + start
            bins = np.arange(width) * 4 // width
            for each in range(4):
                members = order[bins == each]
                assert found.membership[row, members].sum() == evidence.reference.membership[row, members].sum()
        start += width


def test_seeds_differ_and_repeat(evidence):
    draws = [Random(seed=seed)(evidence).membership.tobytes() for seed in (0, 1, 2, 0)]
    assert len(set(draws)) == 3
    assert draws[0] == draws[3]


@pytest.mark.parametrize("match", ["layer", "frequency", "uniform"])
def test_draws_do_not_depend_on_the_order_of_languages(evidence, with_languages, match):
    order = (3, 0, 4, 2, 1)
    tags = tuple(evidence.languages[i] for i in order)
    shuffled = with_languages(evidence, tags)
    reference = Lape(top_rate=0.2, activation_bar=0.8, filter_rate=0.8)(shuffled)
    found = Random(match=match)(evidence)
    moved = Random(match=match)(Evidence(shuffled.sites, reference=reference))
    assert (moved.membership == found.membership[list(order)]).all()
    assert moved.score.tobytes() == found.score[list(order)].tobytes()


@pytest.mark.parametrize("match", ["layer", "frequency", "uniform"])
def test_every_neuron_of_a_stratum_is_equally_likely(evidence, match):
    hits = np.zeros(sum(WIDTHS))
    for seed in range(400):
        hits += Random(match=match, seed=seed)(evidence).membership[0]
    share = evidence.reference.membership[0].sum() / sum(WIDTHS)
    if match == "uniform":
        assert hits.max() / 400 < share + 5 * np.sqrt(share * (1 - share) / 400)
    own = evidence.reference.membership[0]
    if match == "layer":
        for part, chosen in zip(
            np.split(hits / 400, np.cumsum(WIDTHS)[:-1]), np.split(own, np.cumsum(WIDTHS)[:-1]), strict=True
        ):
            p = chosen.mean()
            assert np.abs(part - p).max() <= 5 * np.sqrt(p * (1 - p) / 400)


def test_rows_may_be_targets_that_are_no_languages(evidence):
    members = np.zeros((1, sum(WIDTHS)), dtype=bool)
    members[0, [3, 70, 80, 199]] = True
    target = Detection("lape", ("general",), WIDTHS, members, members.astype(np.float32), "highest")
    for match in ("layer", "frequency", "uniform"):
        found = Random(match=match)(Evidence(evidence.sites, reference=target))
        assert found.languages == ("general",)
        assert found.membership.sum() == 4
        assert found.score.shape == (1, sum(WIDTHS))


@pytest.mark.parametrize(("match", "rate"), [("layer", 0.1), ("uniform", 0.1), ("layer", 0.033)])
def test_without_a_reference_a_share_is_drawn(evidence_of, match, rate):
    evidence = evidence_of(3, WIDTHS)
    found = Random(match=match, rate=rate)(evidence)
    assert found.membership.sum(axis=1).tolist() == [round(200 * rate)] * 3
    if match == "layer":
        exact = np.array(WIDTHS) * round(200 * rate) / 200
        assert (np.abs(per_layer(found.membership) - exact) < 1).all()
    assert len({row.tobytes() for row in found.membership}) == 3


def test_frequency_without_a_reference_is_an_error(evidence_of):
    with pytest.raises(UsageError, match="match=layer does without"):
        Random(match="frequency")(evidence_of())


def test_reference_of_another_model_is_an_error(evidence, evidence_of):
    with pytest.raises(UsageError, match="belong to a model"):
        Random()(Evidence(evidence_of(5, (100, 100)).sites, reference=evidence.reference))


def test_score_knows_nothing_of_the_members(evidence):
    areas = []
    for seed in range(200):
        found = Random(seed=seed)(evidence)
        inside, outside = found.score[0][found.membership[0]], found.score[0][~found.membership[0]]
        areas.append((inside[:, None] > outside).mean())
    assert np.mean(areas) == pytest.approx(0.5, abs=0.03)
