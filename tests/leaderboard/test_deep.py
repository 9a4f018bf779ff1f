"""Recomputing a record from its files finds nothing in a true one and every change in an untrue one."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from forging import unproven
from nharness.neurons import load
from nharness.plugins import Plugins
from nharness.record.validate import load_record, validate_file
from nharness_leaderboard.deep import deep_problems
from synthetic_runs import synthetic_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, synthetic_run(folder)


def test_a_true_record_has_no_difference(run):
    folder, record = run
    assert validate_file(folder / "record.json")[1] == []
    assert deep_problems(record, folder) == []


LIES = [
    ("/cells/1/change", lambda d: d["cells"][1].update(change=d["cells"][1]["change"] + 0.01)),
    ("/cells/0/interval/0", lambda d: d["cells"][0].update(interval=[-1.0, 1.0])),
    ("/cells/0/p", lambda d: d["cells"][0].update(p=0.9)),
    ("/cells/0/control/effect", lambda d: d["cells"][0]["control"].update(effect=99.0)),
    ("/baseline/1/value", lambda d: d["baseline"][1].update(value=0.1)),
    ("/summary/0/selectivity/value", lambda d: d["summary"][0]["selectivity"].update(value=0.5)),
    ("/summary/0/control_selectivity/p", lambda d: d["summary"][0]["control_selectivity"].update(p=0.0001)),
    ("/controls/draws/2/changes/ppl/en", lambda d: d["controls"]["draws"][2]["changes"]["ppl"].update(en=0.0)),
    ("/neurons/per_language/zh", lambda d: d["neurons"]["per_language"].update(zh=1)),
    ("/neurons/kinds_all/general", lambda d: d["neurons"]["kinds_all"].update(general=200)),
    (
        "/neurons/layers/kinds_selected/specific",
        lambda d: d["neurons"]["layers"]["kinds_selected"]["specific"].reverse(),
    ),
    ("/structure/measures/0/value", lambda d: d["structure"]["measures"][0].update(value=0.9)),
    ("/structure/measures/5/p", lambda d: d["structure"]["measures"][5].update(p=0.001)),
    ("/structure/tree", lambda d: d["structure"].update(tree="((en,fr),zh)")),
    ("/structure/stages", lambda d: d["structure"].update(stages={"found": True, "rule": "mine"})),
    ("/warnings", lambda d: d.update(warnings=["all is well"])),
    ("/neurons/overlap/0/1", lambda d: d["neurons"]["overlap"][0].__setitem__(1, 0.5)),
]


@pytest.mark.parametrize(("pointer", "lie"), LIES, ids=[pointer for pointer, _ in LIES])
def test_every_lie_is_found(run, pointer, lie):
    folder, record = run
    document = record.document()
    lie(document)
    found = deep_problems(type(record).model_validate(document), folder)
    assert pointer in {p.pointer for p in found}, found


NEWEST = {"nharness": {"version": "1.0", "digest": "0" * 64}}
"""A source: without one a record is of an older format, which may leave something out."""
LEFT_OUT = [
    ("/neurons/kinds_all", lambda d: d["neurons"].update(kinds_all=None)),
    ("/neurons/kinds_all", lambda d: d["neurons"]["layers"].update(kinds_all=None)),
    ("/neurons/layers/kinds_all/general", lambda d: d["neurons"]["layers"]["kinds_all"].pop("general")),
    ("/neurons/layers/kinds_selected/specific", lambda d: d["neurons"]["layers"]["kinds_selected"].clear()),
    ("/targets/0/digest", lambda d: d["targets"][0].update(digest=None)),
    ("/structure", lambda d: d.update(structure=None)),
    ("/corpus/splits", lambda d: d["corpus"].update(splits=[])),
]


@pytest.mark.parametrize(("pointer", "leave_out"), LEFT_OUT)
def test_what_the_files_give_is_not_left_out(run, pointer, leave_out):
    folder, record = run
    document = record.document()
    document["identity"]["source"] = NEWEST
    leave_out(document)
    assert pointer in {p.pointer for p in deep_problems(type(record).model_validate(document), folder)}


def test_every_value_that_no_check_proves_is_marked_as_asserted(run):
    folder, record = run
    document = record.document()
    document["identity"]["source"] = NEWEST
    assert not unproven(type(record).model_validate(document), folder)


RESULTS = Path(__file__).resolve().parents[2] / "leaderboard" / "results"
SAMPLED = 12
"""Of how many kinds of values one is tried; all of them (`every=1`) take ten minutes."""


@pytest.mark.parametrize("model", ["babel", "smollm2"])
def test_no_value_of_a_published_record_is_another_unseen(model):
    folder = min((RESULTS / model / "lape").glob("*/ladder.jsonl.gz")).parent
    assert unproven(load_record(folder / "record.json"), folder, every=SAMPLED) == []


FORMER = Path(__file__).parent / "data" / "former_babel_lape"


FORMER_TRUTH = Path(__file__).parent / "data" / "former_babel_exhaustive.safetensors"
"""Measured on the weights of babel that the record is of; what ships is of the weights since."""


@pytest.fixture
def published(monkeypatch):
    """A record of `lape` on babel's former weights: its corpus ships with nharness, and one of its truths did."""
    truths = {"exhaustive": SimpleNamespace(entry=SimpleNamespace(value=FORMER_TRUTH))}
    shipped = SimpleNamespace(entries=lambda kind: truths if kind == "truths" else Plugins().entries(kind))
    monkeypatch.setattr("nharness_leaderboard.deep.ground_truth.Plugins", lambda: shipped)
    return FORMER, load_record(FORMER / "record.json")


OF_WHAT_SHIPS = [
    ("/selection/budget", lambda d: d["selection"].update(budget=0.0005)),  # relabelled: a quarter of its neurons
    ("/selection/budget", lambda d: d["selection"].update(budget=0.01)),
    ("/selection/budget", lambda d: d["selection"].update(budget=None)),
    ("/selection/budget", lambda d: d["selection"].update(budget=d["selection"]["budget"] * 1.0001)),
    ("/ground_truth/0/languages", lambda d: d["ground_truth"][0]["languages"][0].update(auroc=0.99)),
    ("/ground_truth/0/auroc", lambda d: d["ground_truth"][0].update(auroc=0.99)),
    ("/ground_truth/1/auroc", lambda d: d["ground_truth"][1].update(auroc=0.999)),
    (
        "/corpus/overlap",
        lambda d: d["corpus"].update(
            overlap=[{"language": "en", "documents": 1, "share": 1 / 17, "examples": ["help#1"]}]
        ),
    ),
    ("/targets/2/digest", lambda d: d["targets"][2].update(digest="0" * 64)),
    ("/controls/draws/3/digest", lambda d: d["controls"]["draws"][3].update(digest="0" * 64)),
    ("/controls/draws/0/digest", lambda d: d["controls"].update(seed=1)),
    ("/cells/4/items_available", lambda d: d["cells"][4].update(items_available=900)),
    ("/cells/4/edited_activations", lambda d: d["cells"][4].update(edited_activations=900)),
    ("/detector/options/top_rate", lambda d: d["detector"]["options"].update(top_rate=0.02)),
    ("/detector/name", lambda d: d["detector"].update(name="lapse")),
    (
        "/stability/0/jaccard",
        lambda d: d.update(stability=[{"kind": "split_half", "repeats": 2, "jaccard": 0.9, "languages": {"en": 0.5}}]),
    ),
    (
        "/stability/0/shuffled/0/p",
        lambda d: d.update(
            stability=[
                {
                    "kind": "label_shuffle",
                    "repeats": 9,
                    "jaccard": 0.5,
                    "languages": {"en": 0.5},
                    "shuffled": [{"what": "en", "observed": 10, "mean": 2.0, "p": 0.001}],
                }
            ]
        ),
    ),
]


@pytest.mark.parametrize(("pointer", "lie"), OF_WHAT_SHIPS)
def test_what_follows_from_files_that_ship_is_recomputed(published, pointer, lie, monkeypatch):
    folder, record = published
    document = record.document()
    lie(document)
    monkeypatch.setattr("nharness_leaderboard.deep.items.reanalyse", lambda record, _: record_parts(record))
    found = deep_problems(type(record).model_validate(document), folder)
    assert pointer in {p.pointer for p in found}, found


def record_parts(record):
    """Stand in for the analysis of items, which these lies leave alone and which takes long."""
    draws = record.controls.draws
    changes = {(draw.target, draw.draw): draw.document()["changes"] for draw in draws}
    return SimpleNamespace(
        baseline=record.baseline, cells=record.cells, summary=record.summary, control_changes=changes
    )


def test_a_score_in_the_neurons_file_that_does_not_choose_its_neurons_is_found(published, tmp_path, monkeypatch):
    folder, record = published
    for entry in record.files:
        (tmp_path / entry.name).write_bytes((folder / entry.name).read_bytes())
    detection = load(tmp_path / "neurons.safetensors")
    score = detection.score.copy()
    score[..., np.flatnonzero(detection.membership[0])[0]] = 1e9 if detection.best == "lowest" else -1e9
    replace(detection, score=score).save(tmp_path / "neurons.safetensors")
    monkeypatch.setattr("nharness_leaderboard.deep.items.reanalyse", lambda record, _: record_parts(record))
    found = {p.pointer for p in deep_problems(record, tmp_path)}
    assert "/selection/budget" in found
    assert any(pointer.startswith("/ground_truth/0") for pointer in found)


def test_damaged_files_are_problems_not_tracebacks(run, tmp_path):
    folder, record = run
    for entry in record.files:
        (tmp_path / entry.name).write_bytes((folder / entry.name).read_bytes()[: entry.bytes // 2])
    found = deep_problems(record, tmp_path)
    assert {p.pointer for p in found} == {"/neurons/file", "/files"}
    assert all("cannot be" in p.message for p in found)


def test_left_out_control_items_are_found(run, tmp_path):
    folder, record = run
    for entry in record.files:
        content = (folder / entry.name).read_bytes()
        if entry.role == "items":
            lines = [line for line in content.splitlines(keepends=True) if json.loads(line)["control"] != 3]
            content = b"".join(lines)
        (tmp_path / entry.name).write_bytes(content)
    assert any(p.pointer.startswith("/controls/draws/3/changes") for p in deep_problems(record, tmp_path))


def test_numbers_may_differ_by_rounding(run):
    folder, record = run
    document = record.document()
    document["cells"][0]["change"] = float(np.float32(document["cells"][0]["change"]))
    found = deep_problems(type(record).model_validate(document), folder)
    assert all(p.pointer == "/cells/0/change" for p in found)


def changed(run, tmp_path, **parts):
    """Copy the run's files and return its record with parts of the document replaced."""
    folder, record = run
    for entry in record.files:
        (tmp_path / entry.name).write_bytes((folder / entry.name).read_bytes())
    return type(record).model_validate(record.document() | parts)


def test_claims_too_large_to_recompute_take_no_memory(run, tmp_path):
    document = run[1].document()
    huge = changed(run, tmp_path, analysis=document["analysis"] | {"bootstrap_draws": 2**50})
    assert [p.pointer for p in deep_problems(huge, tmp_path)] == ["/analysis/bootstrap_draws"]
    wide = changed(run, tmp_path, model=document["model"] | {"layer_widths": [2**30] * 4})
    assert "too many" in str(deep_problems(wide, tmp_path))
    other = changed(run, tmp_path, model=document["model"] | {"layer_widths": [128, 128]})
    assert "other languages or layer widths" in str(deep_problems(other, tmp_path))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gzip.compress(b" " * 10_000_000), "not JSON"),
        (b"\x1f\x8b" + b"x" * 100, "not JSON"),
        (b"[" * 900_000, "not JSON"),
        (b"{}\n" * 10, "exactly the fields"),
        (b"\n" * 1000, "not JSON"),
        (b"\xff" * 2_000_000, "more than 1000000 bytes"),
    ],
)
def test_hostile_items_are_problems(run, tmp_path, content, words):
    record = changed(run, tmp_path)
    (tmp_path / "items.jsonl").write_bytes(content)
    found = deep_problems(record, tmp_path)
    assert [p.pointer for p in found] == ["/files"]
    assert words in found[0].message


def test_an_item_twice_and_items_that_add_a_cell_are_found(run, tmp_path):
    record = changed(run, tmp_path)
    lines = (tmp_path / "items.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "items.jsonl").write_text("".join([*lines, lines[-1]]))
    assert "occurs twice in one cell" in str(deep_problems(record, tmp_path))
