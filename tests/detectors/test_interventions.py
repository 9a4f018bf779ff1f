"""Every intervention: its scale and shift against a loop or a hand computation."""

import numpy as np
import pytest
import torch

from nharness.detector import Evidence
from nharness.errors import OptionError, UsageError
from nharness.intervention import Target, ValueChange
from nharness.models import Given, apply_edits, locate
from nharness.plugins import Plugins
from nharness.run.work.edits import ChangedValues, to_edits
from nharness.statistics import LanguageTotals, Statistics, sketch
from nharness.testing import tiny_model

PLUGINS = Plugins()
NAMES = sorted(name for name, entry in PLUGINS.entries("interventions").items() if entry.plugin == "detectors")
FLAT = np.array([0, 3, 4])


def make(name, **options):
    return PLUGINS.resolve("interventions", name)(**options)


def only_change(name, evidence, target=None, **options):
    (change,) = make(name, **options).changes(target or Target("de", FLAT), evidence)
    assert change.flat.tolist() == FLAT.tolist()
    assert change.scale.dtype == change.shift.dtype == np.float32
    return change


@pytest.fixture
def evidence():
    """Means by language: en 1 2 3 4 5, de 10 20 30 40 50, zh 0 0 0 6 6, at both sites (hidden: ten times that)."""
    means = {"en": [1, 2, 3, 4, 5], "de": [10, 20, 30, 40, 50], "zh": [0, 0, 0, 6, 6]}
    sites = {}
    for site, factor in (("gate", 1), ("hidden", 10)):
        tensors = {}
        for tag, row in means.items():
            value = np.array(row, dtype=float) * factor
            tensors[f"moments/sum/{tag}"] = value * 100
            tensors[f"moments/sumsq/{tag}"] = value**2 * 100
            tensors[f"activation_count/positive/{tag}"] = np.full(5, 50)
            tensors[f"document_mean/mean/{tag}"] = np.array([value - 1, value, value + 7], dtype=np.float32)
            count = np.zeros((5, sketch.SIZE), dtype=np.int32)
            first = sketch.ZERO + 2 - sketch.LOWEST * sketch.STEPS  # the column of [1, 1.125)
            count[:, [sketch.ZERO, first, first + sketch.STEPS]] = [2, 4, 4 if tag == "de" else 0]
            tensors[f"quantile_sketch/count/{tag}"] = count
            tensors[f"quantile_sketch/least/{tag}"] = np.zeros(5, dtype=np.float32)
            tensors[f"quantile_sketch/most/{tag}"] = np.full(5, 2.2 if tag == "de" else 1.1, dtype=np.float32)
        sites[site] = Statistics(site, (2, 3), {tag: LanguageTotals(100, 3) for tag in means}, tensors)
    return Evidence(sites)


def test_every_specified_intervention_is_registered():
    assert set(NAMES) == {
        "zero",
        "mean",
        "complement-mean",
        "median",
        "add",
        "replace",
        "diff-mean",
        "constant",
        "scale",
        "amplify",
        "resample",
        "patch",
        "steer",
        "clip",
        "threshold",
        "noise",
        "project",
    }
    for name in NAMES:
        assert PLUGINS.resolve("interventions", name).name == name


def test_zero(evidence):
    change = only_change("zero", evidence)
    assert (change.site, change.scale.tolist(), change.shift.tolist()) == ("hidden", [0, 0, 0], [0, 0, 0])


def test_mean(evidence):
    change = only_change("mean", evidence)
    assert change.site == "hidden"
    assert change.scale.tolist() == [0, 0, 0]
    assert change.shift == pytest.approx([110 / 3, 500 / 3, 610 / 3])
    assert only_change("mean", evidence, site="gate").shift == pytest.approx([11 / 3, 50 / 3, 61 / 3])


def test_complement_mean(evidence):
    members = np.zeros((3, 5), dtype=bool)
    members[1, [0, 3]] = True  # neuron 0: de; 3: de and zh; 4: all
    members[2, 3] = True
    members[:, 4] = True
    change = only_change("complement-mean", evidence, Target("de", FLAT, members))
    assert change.site == "gate"
    assert change.shift == pytest.approx([0.5, 4, 61 / 3])
    assert only_change("complement-mean", evidence).shift == pytest.approx([0.5, 5, 5.5])


def test_median(evidence):
    assert only_change("median", evidence).shift == pytest.approx([100, 400, 500])
    assert only_change("median", evidence, alpha=0.5).shift == pytest.approx([50, 200, 250])
    # neuron 0: -1 0 7 9 10 17 99 100 107; 3: 39 40 47 59 60 67 399 400 407; 4: 49 50 57 59 60 67 499 500 507
    assert only_change("median", evidence, Target("general", FLAT)).shift.tolist() == [10, 60, 60]


def test_doses_of_the_languages_mean(evidence):
    add = only_change("add", evidence, alpha=2)
    assert (add.site, add.scale.tolist(), add.shift.tolist()) == ("gate", [1, 1, 1], [20, 80, 100])
    replace = only_change("replace", evidence)
    assert (replace.scale.tolist(), replace.shift.tolist()) == ([0, 0, 0], [10, 40, 50])
    difference = only_change("diff-mean", evidence)
    assert difference.scale.tolist() == [1, 1, 1]
    assert difference.shift == pytest.approx([10 - 0.5, 40 - 5, 50 - 5.5])
    assert only_change("replace", evidence, Target("general", FLAT)).shift == pytest.approx([11 / 3, 50 / 3, 61 / 3])


def test_a_difference_needs_a_language(evidence):
    with pytest.raises(UsageError, match="needs a target of one of en, de, zh; got 'general'"):
        make("diff-mean").changes(Target("general", FLAT), evidence)


def test_constant_and_scale(evidence):
    assert only_change("constant", evidence, value=-2.5).shift.tolist() == [-2.5] * 3
    assert only_change("constant", evidence).scale.tolist() == [0, 0, 0]
    scale = only_change("scale", evidence, factor=3)
    assert (scale.scale.tolist(), scale.shift.tolist()) == ([3, 3, 3], [0, 0, 0])


def test_amplify(evidence):
    assert only_change("amplify", evidence, quantile=1).shift == pytest.approx([2.2] * 3)
    assert only_change("amplify", evidence, quantile=0.6, alpha=2).shift == pytest.approx([2.21875] * 3)
    assert only_change("amplify", evidence, quantile=0.2).shift.tolist() == [0, 0, 0]
    assert only_change("amplify", evidence, Target("general", FLAT), quantile=0.9).shift == pytest.approx([2.075] * 3)


def made_of(change, values, noise=None):
    columns = torch.arange(len(change.flat))
    given = Given(torch.tensor(values), columns, torch.arange(len(values)), noise)
    return ChangedValues(change, columns.numpy())(given).numpy()


def value_change(name, evidence, target=None, **options):
    (change,) = make(name, **options).changes(target or Target("de", FLAT), evidence)
    assert change.flat.tolist() == FLAT.tolist()
    return change


def test_clip_and_threshold(evidence):
    values = [[-3.0, 0.25, 0.5], [0.1, -0.5, 2.0]]
    assert made_of(value_change("clip", evidence, limit=0.5), values).tolist() == [
        [-0.5, 0.25, 0.5],
        [np.float32(0.1), -0.5, 0.5],
    ]
    assert made_of(value_change("threshold", evidence, threshold=0.5), values).tolist() == [[-3, 0, 0], [0, 0, 2]]
    assert value_change("clip", evidence).site == "hidden"
    assert value_change("threshold", evidence, site="gate").site == "gate"


def test_noise(evidence):
    # The fixture's squares are those of the means: over languages E[a^2] - E[a]^2 of (1, 10, 0), (4, 40, 6), (5, 50, 6).
    spread = np.std([[10, 100, 0], [40, 400, 60], [50, 500, 60]], axis=1)
    noise = torch.tensor([[1.0, -1.0, 0.0], [0.5, 2.0, -3.0]])
    change = value_change("noise", evidence, sigma=2.0, seed=7)
    assert change.seed == 7
    assert made_of(change, [[1.0, 2.0, 3.0]] * 2, noise) == pytest.approx(2 * spread * noise.numpy() + [1, 2, 3])


def test_project(evidence):
    direction = np.array([10 - 0.5, 40 - 5, 50 - 5.5])
    mean = np.array([11 / 3, 50 / 3, 61 / 3])
    unit = direction / np.linalg.norm(direction)
    values = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    made = made_of(value_change("project", evidence), values)
    assert made @ unit == pytest.approx(np.full(5, mean @ unit), rel=1e-4)
    beside = np.eye(3) - np.outer(unit, unit)
    assert made @ beside == pytest.approx(values @ beside, abs=1e-4)
    with pytest.raises(UsageError, match="needs a target of one of en, de, zh"):
        make("project").changes(Target("general", FLAT), evidence)


@pytest.mark.parametrize("name", ["clip", "threshold", "noise", "project"])
def test_a_function_of_the_values_of_a_model_bites_and_is_undone(name, evidence):
    model = tiny_model("llama")
    neuron_map = locate(model)
    sites = {
        site: Statistics(
            site,
            neuron_map.layer_widths,
            {tag: LanguageTotals(100, 3) for tag in ("en", "de")},
            {
                f"{tensor}/{tag}": np.random.default_rng(place).uniform(1, 2, sum(neuron_map.layer_widths)) * size
                for tensor, size in (("moments/sum", 100), ("moments/sumsq", 900))
                for place, tag in enumerate(("en", "de"))
            },
        )
        for site in ("gate", "hidden")
    }
    options = {"clip": {"limit": 1e-4}, "threshold": {"threshold": 1e-3}}.get(name, {})
    changes = make(name, **options).changes(Target("de", np.arange(5, 60)), Evidence(sites))
    ids = torch.arange(3, 13)[None]
    with torch.no_grad():
        before = model(input_ids=ids).logits
        with apply_edits(model, neuron_map, to_edits(changes, neuron_map)) as report:
            edited = model(input_ids=ids).logits
            assert torch.equal(model(input_ids=ids).logits, edited)
        assert torch.equal(model(input_ids=ids).logits, before)
    assert not torch.allclose(edited, before, atol=1e-6)
    assert (report.backend, report.edited_activations) == ("hook", 2 * 10 * 55)


@pytest.mark.parametrize("name", ["resample", "patch"])
def test_draws_name_what_the_runner_draws(name, evidence):
    change = only_change(name, evidence, seed=3)
    assert (change.values_from, change.donors, change.seed) == (name, ("en", "zh"), 3)
    assert only_change(name, evidence, Target("general", FLAT)).donors == ("en", "de", "zh")
    assert make(name).needs() == ()


def test_steer(evidence):
    target = Target("de", FLAT, source="en", source_flat=np.array([1, 3]))
    off, driven = make("steer", alpha=0.5).changes(target, evidence)
    assert (off.flat.tolist(), off.scale.tolist(), off.shift.tolist()) == ([1], [0], [0])
    assert (driven.flat.tolist(), driven.scale.tolist(), driven.shift.tolist()) == (
        FLAT.tolist(),
        [0, 0, 0],
        [5, 20, 25],
    )
    assert off.site == driven.site
    added = make("steer", mode="add").changes(target, evidence)[1]
    assert added.scale.tolist() == [1, 1, 1]
    with pytest.raises(UsageError, match="needs a source language"):
        make("steer").changes(Target("de", FLAT), evidence)


@pytest.mark.parametrize("name", NAMES)
def test_no_neuron_is_no_change(name, evidence):
    nobody = np.array([], dtype=np.int64)
    assert make(name).changes(Target("de", nobody, source="en", source_flat=nobody), evidence) == ()


@pytest.mark.parametrize("name", NAMES)
def test_needs_are_what_changes_reads(name, evidence):
    intervention = make(name)
    allowed = {(need.site, need.statistic) for need in intervention.needs()}
    sites = {
        site: Statistics(
            site, s.layer_widths, s.totals, {n: t for n, t in s.tensors.items() if (site, n.split("/")[0]) in allowed}
        )
        for site, s in evidence.sites.items()
    }
    changes = intervention.changes(Target("de", FLAT, source="en", source_flat=np.array([1])), Evidence(sites))
    seen = [(change.site, unit) for change in changes for unit in change.flat.tolist()]
    assert len(set(seen)) == len(seen) >= 3
    for change in changes:
        if not isinstance(change, ValueChange):  # what a function makes is checked by conformance
            assert change.flat.shape == change.scale.shape == change.shift.shape
            assert np.isfinite(change.shift).all()


def test_strength_is_an_option():
    for name in NAMES:
        kind = PLUGINS.resolve("interventions", name)
        if kind.strength_option:
            options = kind(**{kind.strength_option: 2}).options
            assert getattr(options, kind.strength_option) == 2


def test_option_out_of_range_names_the_range():
    with pytest.raises(
        OptionError, match="intervention amplify: option quantile is 2; expected a number above 0 and at most 1"
    ):
        make("amplify", quantile=2)


def test_a_language_that_never_reached_an_expert_is_left_out(evidence):
    gate = evidence.sites["gate"]
    routed = {
        f"activation_count/routed/{tag}": np.array([100, 100, 100, 100, 100 * (tag != "zh")]) for tag in gate.languages
    }
    tensors = {**gate.tensors, **routed, "moments/sum/zh": np.array([0, 0, 0, 600, 0.0])}
    experts = Evidence({"gate": Statistics("gate", (2, 3), gate.totals, tensors)})
    assert only_change("mean", experts, site="gate").shift == pytest.approx([11 / 3, 50 / 3, 55 / 2])
    assert only_change("complement-mean", experts).shift == pytest.approx([0.5, 5, 5])
