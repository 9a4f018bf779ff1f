"""Content keys: whatever can change a number changes the key of what is stored, and nothing else does."""

import importlib
import json
import shutil
import sys
import textwrap
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

import nharness.plugins
from nharness.cells import Cell, Edition
from nharness.events import ignore
from nharness.intervention import Change, ValueChange
from nharness.plugins import Plugins
from nharness.run.context import RunContext
from nharness.run.plan.plan import Plan
from nharness.run.plan.resolve import resolve
from nharness.run.stages.record import _Pass
from nharness.run.stages.repeats import _Shelf
from nharness.run.store import Store
from nharness.run.work import recipe, worker
from nharness.run.work.executor import LocalExecutor
from nharness.run.work.jobs import changes_digest
from nharness.run.work.measuring import lm_eval_tasks
from nharness.run.work.worker import Worker
from nharness.sources import package_digest
from nharness.spec import RunSpec
from nharness.task import TaskSpec

CELLS = {
    "baseline": Cell(None, "ppl", "en"),
    "target": Cell(Edition("lape", "de", "zero"), "ppl", "en"),
    "control": Cell(Edition("lape", "de", "zero", 1), "ppl", "en"),
    "baseline lm-eval": Cell(None, "quiz", "en"),
    "target lm-eval": Cell(Edition("lape", "de", "zero"), "quiz", "en"),
}
TEXT = {"recorded", "block"}
EVERYTHING = {*CELLS, *TEXT}
PERPLEXITY, LM_EVAL = {"baseline", "target", "control"}, {"baseline lm-eval", "target lm-eval"}


@pytest.fixture(scope="module")
def place(tiny_model_folder, tmp_path_factory):
    """A folder with a model, a corpus and a task."""
    folder = tmp_path_factory.mktemp("keys")
    shutil.copytree(tiny_model_folder, folder / "model")
    for split in ("detect", "eval"):
        (folder / "corpus" / split).mkdir(parents=True)
        for tag in ("en", "de"):
            rows = [{"id": f"{split}{n}", "text": f"some {tag} words of {split} number {n}. " * 9} for n in range(4)]
            (folder / "corpus" / split / f"{tag}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "tasks").mkdir()
    (folder / "tasks" / "quiz.yaml").write_text("task: quiz\nmetadata: {version: 1}\n")
    return folder


def keys(place, *, statistic="activation_count", task=None, **spec):
    """Return the keys that a run of a specification would look for in a store."""
    document: dict[str, Any] = {
        "model": {"name": str(place / "model"), "max_length": 64},
        "corpus": {"name": str(place / "corpus")},
        "languages": ["en", "de"],
        "controls": {"eval_tokens": 60},
    }
    for name, value in spec.items():
        document[name] = {**document[name], **value} if isinstance(value, dict) and name in document else value
    scope = document.pop("scope", "all")  # refused with tasks that only read, whose cells are looked at here too
    resolved = resolve(RunSpec.model_validate(document), Plugins())
    resolved = replace(resolved, spec=resolved.spec.model_copy(update={"scope": scope}))
    options = resolved.spec.task_options
    quiz = TaskSpec(
        "quiz", "quiz", "en", "lm-eval", "acc", "share", lm_eval_task="quiz", include_path=str(place / "tasks")
    )
    quiz = replace(quiz.with_options(num_fewshot=options.num_fewshot, limit=options.limit), **(task or {}))
    worker = Worker(replace(resolved, tasks=(*resolved.tasks, quiz)))
    found = {name: worker.key(cell, "0" * 64, worker.identity) for name, cell in CELLS.items()}
    context = RunContext(resolved, Plan.empty(), LocalExecutor(worker), Store(place / "store"), ignore)
    needs = ((statistic, "gate"),)
    return found | {"recorded": _Pass(context, needs)._key_of("en"), "block": _Shelf(context, needs).key(("en", 0), 2)}


def changed(place, reference, **spec):
    return {name for name, key in keys(place, **spec).items() if key != reference[name]}


@pytest.fixture(scope="module")
def reference(place):
    return keys(place)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, set()),
        ({"analysis": {"bootstrap_draws": 150}}, set()),
        ({"detectors": [{"name": "lape", "options": {"top_rate": 0.2}}]}, set()),  # its neurons are in the key
        ({"model": {"dtype": "float64"}}, EVERYTHING),
        ({"model": {"batch_tokens": 300}}, EVERYTHING),
        ({"model": {"max_length": 32}}, EVERYTHING),
        ({"model": {"args": {"attn_implementation": "eager"}}}, EVERYTHING),
        ({"corpus": {"detect_tokens": 50}}, TEXT),
        ({"corpus": {"eval_tokens": 100}}, {"baseline", "target"}),  # controls see the same sample of it
        ({"statistic": "moments"}, TEXT),
        ({"languages": ["de", "en"]}, TEXT),  # settings may be made from the text of all
        ({"scope": "generation"}, {"target", "control", "target lm-eval"}),
        ({"edit_backend": "hook"}, {"target", "control", "target lm-eval"}),
        ({"controls": {"eval_tokens": 200}}, {"baseline", "control"}),  # the sample, of which the noise floor is too
        ({"analysis": {"precision": 0.1}}, {"target"}),
        ({"task_options": {"num_fewshot": 3}}, LM_EVAL),
        ({"task_options": {"limit": 5}}, LM_EVAL),
        ({"task_options": {"chat_template": True}}, LM_EVAL),
        ({"task": {"version": "2"}}, LM_EVAL),
        ({"task": {"metric": "acc_norm"}}, LM_EVAL),
        ({"task": {"lm_eval_task": "other"}}, LM_EVAL),
    ],
    ids=lambda value: "" if isinstance(value, set) else str(value),
)
def test_settings(place, reference, spec, expected):
    assert changed(place, reference, **spec) == expected


def test_seed_of_steps(place):
    precise = {"analysis": {"precision": 0.1}}
    assert changed(place, keys(place, **precise), seed=1, **precise) == {"target"}


@pytest.mark.parametrize(
    ("package", "expected"),
    [("nharness", EVERYTHING), ("transformers", EVERYTHING), ("lm_eval", LM_EVAL)],
)
def test_versions(place, reference, monkeypatch, package, expected):
    for module in (worker, lm_eval_tasks):
        genuine = module.installed
        monkeypatch.setattr(
            module, "installed", lambda name, genuine=genuine: "0.0.1" if name == package else genuine(name)
        )
    assert changed(place, reference) == expected


def test_source_of_nharness(place, reference, monkeypatch):
    monkeypatch.setattr(worker, "engine_digest", lambda: "edited")
    assert changed(place, reference) == EVERYTHING


STATISTIC = """
    from nharness import Entry, hookimpl
    from nharness.recording import ACCUMULATORS

    class Loudness(ACCUMULATORS["moments"]):
        version = {version}

    @hookimpl
    def nharness_register_statistics():
        return (Entry("loudness", "as moments", Loudness),)
"""
FINDER = """
    from nharness import Entry, hookimpl
    from nharness.models import NeuronMap, locate

    def find(model):
        return NeuronMap(locate(model, ()).layers[:{version}])

    @hookimpl
    def nharness_register_architectures():
        return (Entry("first layers", "no more than a few", find),)
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Write a plug-in module of this name, and have it loaded by every `Plugins()` of the test."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, source, version):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source).replace("{version}", str(version)))
        sys.modules.pop(name, None)
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        package_digest.cache_clear()
        importlib.invalidate_caches()
        monkeypatch.setitem(globals(), "Plugins", lambda: nharness.plugins.Plugins(extra=[name]))

    yield write
    package_digest.cache_clear()


def test_source_of_a_statistic(place, plugin):
    plugin("loud", STATISTIC, 1)
    first = keys(place, statistic="loudness")
    plugin("loud", STATISTIC, 1)
    assert changed(place, first, statistic="loudness") == set()
    plugin("loud", STATISTIC, 2)
    assert changed(place, first, statistic="loudness") == TEXT


def test_the_map_of_an_architecture(place, reference, plugin):
    plugin("few", FINDER, 1)
    assert changed(place, reference) == EVERYTHING
    plugin("few", FINDER, 2)  # finds what is found without it
    assert changed(place, reference) == set()


def test_version_of_the_plugin_that_records(place, reference, monkeypatch):
    monkeypatch.setattr(recipe, "plugin_of", lambda *_: ("theirs", "theirs 0.2"))
    assert changed(place, reference) == TEXT


def one_weight(folder):
    path = folder / "model" / "model.safetensors"
    weights = load_file(path)
    weights["model.layers.1.mlp.down_proj.weight"][0, 0] += 1e-3
    save_file(weights, path, {"format": "pt"})


def one_token(folder):
    path = folder / "model" / "tokenizer.json"
    document = json.loads(path.read_text())
    merges = document["model"]["merges"]
    merges[-1], merges[-2] = merges[-2], merges[-1]
    path.write_text(json.dumps(document))


def words(split):
    def change(folder):
        path = folder / "corpus" / split / "en.jsonl"
        path.write_text(path.read_text().replace("some", "none"))

    return change


def one_line_of_the_task(folder):
    (folder / "tasks" / "quiz.yaml").write_text("task: quiz\nmetadata: {version: 2}\n")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda folder: None, set()),
        (one_weight, EVERYTHING),
        (one_token, EVERYTHING),
        (words("detect"), TEXT),
        (words("eval"), {*PERPLEXITY, *TEXT}),
        (one_line_of_the_task, LM_EVAL),
    ],
    ids=["another path alone", "weight", "tokenizer", "detection text", "evaluation text", "task file"],
)
def test_contents(place, reference, tmp_path, change, expected):
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(place, elsewhere)
    change(elsewhere)
    assert changed(elsewhere, reference) == expected


CHANGE = Change("hidden", np.array([3, 9]), np.zeros(2, np.float32), np.ones(2, np.float32))


def halved(values, by=2):
    return values / by


def doubled(values, by=2):
    return values * by


VALUES = ValueChange("hidden", np.array([3, 9]), halved, {"by": 2.0, "each": np.ones(2, np.float32)}, seed=1)
DRAWN = replace(CHANGE, values_from="resample", donors=("en", "de"), seed=1)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (CHANGE, replace(CHANGE, site="gate")),
        (CHANGE, replace(CHANGE, flat=np.array([3, 10]))),
        (CHANGE, replace(CHANGE, scale=np.array([0, 0.5], np.float32))),
        (CHANGE, replace(CHANGE, shift=np.array([1, 1 + 1e-6], np.float32))),
        (CHANGE, DRAWN),
        (DRAWN, replace(DRAWN, values_from="patch")),
        (DRAWN, replace(DRAWN, seed=2)),
        (DRAWN, replace(DRAWN, donors=("de", "en"))),
        (CHANGE, VALUES),
        (VALUES, replace(VALUES, site="gate")),
        (VALUES, replace(VALUES, flat=np.array([3, 10]))),
        (VALUES, replace(VALUES, function=doubled)),
        (VALUES, replace(VALUES, parameters={**VALUES.parameters, "by": 3.0})),
        (VALUES, replace(VALUES, parameters={**VALUES.parameters, "each": np.array([1, 2], np.float32)})),
        (VALUES, replace(VALUES, seed=2)),
    ],
    ids=[
        "site",
        "neurons",
        "scale",
        "shift",
        "drawn",
        "how it is drawn",
        "seed",
        "donors",
        "function",
        "its site",
        "its neurons",
        "another",
        "number",
        "numbers",
        "its seed",
    ],
)
def test_what_an_edit_does(first, second):
    assert changes_digest([first], corpus="a") != changes_digest([second], corpus="a")
    assert changes_digest([first], corpus="a") != changes_digest([first, second], corpus="a")
    assert (changes_digest([second], corpus="a") != changes_digest([second], corpus="b")) == bool(
        getattr(second, "values_from", "")
    )
