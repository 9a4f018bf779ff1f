"""The planted model: what its neurons do is what it says, and who finds them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from nharness.analysis.ground_truth import against_truth
from nharness.errors import OptionError
from nharness.models import Edit, apply_edits, load_model, locate
from nharness.plugins import Plugins
from nharness.run.stages.ground_truth import evidence_of
from nharness.testing import planted_model
from nharness.testing.planted import ROLES

PLUGINS = Plugins()
CAUSAL = ("exhaustive", "attribution")
BY_ACTIVATION = ("lape", "ternary", "lap", "lave", "diff-mean", "effect-size", "average-precision", "act-prob-90p")


@pytest.fixture(scope="module")
def planted():
    return planted_model()


@pytest.fixture(scope="module")
def scores(planted):
    detectors = {name: PLUGINS.resolve("detectors", name)() for name in (*CAUSAL, *BY_ACTIVATION)}
    evidence = evidence_of(planted, detectors, PLUGINS)
    found = {name: against_truth(detector(evidence), planted.truth) for name, detector in detectors.items()}
    draws = [PLUGINS.resolve("detectors", "random")(seed=seed)(evidence) for seed in range(20)]
    return found, [against_truth(draw, planted.truth).auroc for draw in draws]


@pytest.fixture(scope="module")
def tabled(planted):
    """What every row of the table in the documentation says, and what the code gives: AUROC, P@k, and what is selected."""
    rows = {}
    for line in (
        (Path(__file__).parents[3] / "docs/ground-truth.md").read_text().partition("## Truth 2")[0].splitlines()
    ):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0].startswith("`"):
            rows[cells[0]] = (float(cells[1]), float(cells[2]), cells[3])
    detectors = {row: PLUGINS.resolve("detectors", name)(**options) for row, name, options in map(named, rows)}
    evidence = evidence_of(planted, detectors, PLUGINS)
    return rows, {row: measured(detector(evidence), planted) for row, detector in detectors.items()}


def named(row):
    """From "`crane` (`relevance=lrp`)" to the detector's name and its options."""
    name, *options = row.replace("`", "").replace("(", "").replace(")", "").split()
    return row, name, dict(option.split("=") for option in options)


def measured(found, planted):
    score = against_truth(found, planted.truth)
    chosen = planted.roles[found.membership.any(axis=0)]
    counts = [int((chosen == ROLES.index(role)).sum()) for role in ("specific", "related", "silent", "loud")]
    return score.auroc, score.precision_at_k, ", ".join(map(str, [*counts, len(chosen) - sum(counts)]))


def test_the_documentation_says_what_the_code_gives(tabled):
    rows, got = tabled
    assert {named(row)[1] for row in rows} == {
        n for n, e in PLUGINS.entries("detectors").items() if e.plugin == "detectors"
    }
    for row, (auroc, precision, selected) in rows.items():
        assert got[row][0] == pytest.approx(auroc, abs=0.002), row
        assert got[row][1] == pytest.approx(precision, abs=0.011), row
        assert got[row][2] == selected, row


@pytest.mark.parametrize("name", CAUSAL)
def test_causal_detectors_find_the_planted_neurons(scores, name):
    assert scores[0][name].auroc >= 0.99
    assert all(language.auroc >= 0.99 for language in scores[0][name].languages)
    assert scores[0][name].precision_at_k >= 0.8


@pytest.mark.parametrize("name", BY_ACTIVATION)
def test_detectors_by_activation_fall_for_the_decoys(scores, name):
    assert scores[0][name].precision_at_k <= 0.55


def test_random_is_at_a_half(scores):
    assert np.mean(scores[1]) == pytest.approx(0.5, abs=0.03)


def test_roles_are_in_the_weights(planted):
    widths = planted.layer_widths
    assert locate(planted.model).layer_widths == widths
    written = torch.cat([layer.mlp.down_proj.weight.detach().abs().sum(0) for layer in planted.model.model.layers])
    assert not written[planted.having("silent")].any()
    assert (written[np.flatnonzero(planted.membership.any(axis=0))] > 0).all()
    assert written[planted.having("loud")].min() > written[planted.having("specific")].max()
    counts = planted.membership.sum(axis=0)
    for role, languages in (("specific", 1), ("related", 2), ("general", 4), ("silent", 0), ("loud", 0)):
        assert set(counts[planted.having(role)]) == {languages}
    assert sum(len(planted.having(role)) for role in ROLES) == sum(widths)
    assert len({int(row.sum()) for row in planted.membership}) == 1  # languages differ by name alone


def test_a_silent_decoy_fires_as_a_specific_neuron_does(planted):
    layer = planted.model.model.layers[0].mlp
    specific = planted.having("specific")
    specific = specific[specific < planted.layer_widths[0]]
    gates = {tuple((row > 0).tolist()) for row in layer.gate_proj.weight[specific]}
    silent = planted.having("silent")
    for unit in silent[silent < planted.layer_widths[0]]:
        assert tuple((layer.gate_proj.weight[unit] > 0).tolist()) in gates


def test_switching_a_planted_neuron_off_hurts_its_languages_alone(planted):
    neuron_map = locate(planted.model)
    unit = int(planted.having("specific")[0])
    tokens = torch.arange(1, 1 + 4 * 12)[:, None]  # every word of every language, alone
    with torch.inference_mode():
        before = planted.model(input_ids=tokens).logits
        with apply_edits(planted.model, neuron_map, [Edit.zero(0, [unit])]):
            changed = (planted.model(input_ids=tokens).logits - before).abs().amax(dim=(1, 2)) > 1e-6
    by_language = changed.reshape(4, 12).any(dim=1).numpy()
    assert (by_language == planted.membership[:, unit]).all()


def test_it_loads_as_any_model_does(planted, tmp_path):
    planted.save(tmp_path)
    loaded = load_model(str(tmp_path), device="cpu")
    text = next(planted.corpus.documents("en", "detect")).text
    tokens = torch.tensor([loaded.tokenizer(text)["input_ids"]])
    assert planted.tokenizer.decode(tokens[0]) == text
    with torch.inference_mode():
        assert torch.equal(loaded.model(input_ids=tokens).logits, planted.model(input_ids=tokens).logits)


def test_the_same_seed_gives_the_same_model(planted):
    again, other = planted_model(), planted_model(seed=1)
    assert (again.roles == planted.roles).all()
    assert all(torch.equal(a, b) for a, b in zip(again.model.parameters(), planted.model.parameters(), strict=True))
    assert again.corpus.fingerprint == planted.corpus.fingerprint
    assert (other.roles != planted.roles).any()
    assert other.corpus.fingerprint != planted.corpus.fingerprint


def test_detection_and_evaluation_text_differ_and_are_parallel(planted):
    first = {tag: [d.text for d in planted.corpus.documents(tag, "detect")] for tag in planted.languages}
    evaluated = {d.text for d in planted.corpus.documents("en", "eval")}
    assert not evaluated & set(first["en"])
    assert first["de"][0].replace("de", "en") == first["en"][0].replace("sharen", "shared")


def test_what_cannot_be_planted_is_refused():
    for options in ({"languages": ["en", "de"]}, {"words": 13}, {"layers": 0}):
        with pytest.raises(OptionError, match="at least 3 languages"):
            planted_model(**options)
