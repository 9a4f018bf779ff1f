"""What holds for every detector: any number of languages, layers, experts; orders that must not matter; its file."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from nharness import neurons
from nharness.detector import Evidence
from nharness.errors import UsageError
from nharness.plugins import Plugins
from nharness.statistics import LanguageTotals, Statistics, merge

PLUGINS = Plugins()
NAMES = sorted(name for name, entry in PLUGINS.entries("detectors").items() if entry.plugin == "detectors")
READING = sorted(set(NAMES) - {"random"})  # which, unless it matches frequencies, looks at no statistic
SPECIFIED = {
    "lape",
    "ternary",
    "lingua-franca",
    "average-precision",
    "plnd",
    "dln",
    "crane",
    "attribution",
    "lap",
    "lave",
    "diff-mean",
    "effect-size",
    "probe",
    "act-prob-90p",
    "random",
    "exhaustive",
}
DRAWN = {"random"}


def make(name):
    options: dict[str, dict[str, Any]] = {
        "average-precision": {"count": 10},
        "act-prob-90p": {"top_rate": 0.1},
        "dln": {"top_rate": 0.2},
        "plnd": {"top_rate": 0.6, "consensus": 0.7},
    }
    return PLUGINS.resolve("detectors", name)(**options.get(name, {}))


def test_every_specified_detector_is_registered():
    assert set(NAMES) == SPECIFIED
    for name in NAMES:
        assert PLUGINS.resolve("detectors", name).name == name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("languages", [2, 3, 12])
@pytest.mark.parametrize("routed", [False, True], ids=["dense", "experts"])
def test_any_languages_widths_and_experts(name, languages, routed, evidence_of, tmp_path):
    evidence = evidence_of(languages, (30, 1, 45, 24), seed=languages, routed=routed, ties=True)
    found = make(name)(evidence)
    assert found.detector == name
    assert found.languages == evidence.languages
    assert found.membership.shape == (languages, 100)
    assert found.score.dtype == np.float32
    if found.candidates is not None:
        assert (found.membership <= found.candidates).all()
    assert found.kinds().shape == found.kinds(over="all").shape == (100,)
    assert found.cut(0.05).membership.sum(axis=1).max() <= 5
    found.save(tmp_path / "n.safetensors")
    loaded = neurons.load(tmp_path / "n.safetensors")
    assert (loaded.membership == found.membership).all()
    assert loaded.score.tobytes() == found.score.tobytes()
    assert loaded.options == found.options
    assert loaded.notes == found.notes


@pytest.mark.parametrize("name", NAMES)
def test_something_is_found(name, evidence_of):
    assert make(name)(evidence_of(4, (150, 150), seed=1)).membership.any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ties", [True, False])
def test_order_of_languages_does_not_matter(name, ties, evidence_of, with_languages):
    evidence = evidence_of(5, (60, 45), seed=3, ties=ties)
    order = [2, 4, 0, 3, 1]
    found = make(name)(evidence)
    moved = make(name)(with_languages(evidence, tuple(evidence.languages[i] for i in order)))
    assert (moved.membership == found.membership[order]).all()
    expected = found.score if found.score.ndim == 1 else found.score[order]
    if name in {"probe", "act-prob-90p"}:  # sums over documents or languages in the order given
        assert moved.score == pytest.approx(expected, abs=1e-4)
    else:
        assert moved.score.tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", sorted(set(NAMES) - DRAWN))
def test_order_of_layers_does_not_matter(name, evidence_of):
    widths = (40, 25, 60)
    evidence = evidence_of(3, widths, seed=6)
    order = [2, 0, 1]
    parts = np.split(np.arange(125), np.cumsum(widths)[:-1])
    index = np.concatenate([parts[i] for i in order])
    moved = Evidence(
        {site: rearranged(s, index, tuple(widths[i] for i in order)) for site, s in evidence.sites.items()},
        loss_changes={key: value[index] for key, value in evidence.loss_changes.items()},
    )
    a, b = make(name)(evidence), make(name)(moved)
    assert b.score == pytest.approx(a.score[..., index], abs=5e-3 if name == "probe" else 1e-5)
    if name != "probe":
        assert (b.membership == a.membership[:, index]).all()


def rearranged(recorded, index, widths):
    def move(name, tensor):
        if name.split("/")[1] == "edges":
            return tensor
        per_document = name.split("/")[0] in {"document_mean", "up_magnitude", "output_change"}
        return tensor[:, index] if per_document else tensor[index]

    tensors = {name: move(name, tensor) for name, tensor in recorded.tensors.items()}
    return Statistics(recorded.site, widths, recorded.totals, tensors, recorded.provenance)


@pytest.mark.parametrize("name", NAMES)
def test_order_of_shards_does_not_matter(name, evidence_of):
    shards = [evidence_of(3, (50, 70), seed=seed) for seed in (1, 2, 3)]
    if name == "exhaustive":
        shards = [Evidence(shard.sites, loss_changes=shards[0].loss_changes) for shard in shards]
    first, second = (
        Evidence(
            {site: merge([shard.sites[site] for shard in some]) for site in ("gate", "hidden")},
            loss_changes=some[0].loss_changes,
        )
        for some in (shards, shards[::-1])
    )
    a, b = make(name)(first), make(name)(second)
    assert b.score == pytest.approx(a.score, abs=5e-3 if name == "probe" else 1e-5)
    if name != "probe":
        assert (a.membership == b.membership).all()


@pytest.mark.parametrize("name", NAMES)
def test_one_language_is_an_error(name, evidence_of):
    with pytest.raises(UsageError, match=f"detector {name} compares languages and needs at least 2"):
        make(name)(evidence_of(1))


@pytest.mark.parametrize("name", READING)
def test_a_language_without_tokens_is_an_error(name, evidence_of):
    evidence = evidence_of(3)
    sites = {
        site: Statistics(s.site, s.layer_widths, {**s.totals, "zh": LanguageTotals(0, 0)}, s.tensors)
        for site, s in evidence.sites.items()
    }
    with pytest.raises(UsageError, match="no tokens were recorded for language 'zh'"):
        make(name)(Evidence(sites, loss_changes=evidence.loss_changes))


@pytest.mark.parametrize("name", READING)
def test_missing_statistics_are_named(name, evidence_of):
    evidence = evidence_of(3)
    bare = {site: Statistics(s.site, s.layer_widths, s.totals, {}) for site, s in evidence.sites.items()}
    with pytest.raises(UsageError, match=f"needs statistic .* record it with: nharness record --detector {name}"):
        make(name)(Evidence(bare))


@pytest.mark.parametrize("name", NAMES)
def test_statistics_are_left_as_they_were(name, evidence_of):
    evidence = evidence_of(3, seed=8)
    before = {f"{site}/{n}": t.tobytes() for site, s in evidence.sites.items() for n, t in s.tensors.items()}
    make(name)(evidence)
    assert before == {f"{site}/{n}": t.tobytes() for site, s in evidence.sites.items() for n, t in s.tensors.items()}


def test_the_plugin_and_the_detectors_need_no_tensor_library():
    code = (
        "import sys, nharness_detectors.plugin as p; assert 'numpy' not in sys.modules;"
        "p.nharness_register_detectors(), p.nharness_register_interventions(); assert 'numpy' not in sys.modules;"
        "import importlib; [importlib.import_module(e.value.split(':')[0]) for e in "
        "p.nharness_register_detectors() + p.nharness_register_interventions()];"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
