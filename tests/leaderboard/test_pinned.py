"""Inventions that no file of their own betrays: what ships and what others measured does."""

import json
from pathlib import Path

import pytest

from narrowing import present
from nharness.analysis.measurements import from_items
from nharness.record.items import RecordedItem, read_items, write_items
from nharness.record.store import find
from nharness.record.validate import load_record
from nharness_leaderboard.deep.sense import item_problems
from nharness_leaderboard.pinned import detector_problems, disagreements
from nharness_leaderboard.results import Entry
from synthetic_runs import synthetic_run, unpacked

RESULTS = Path(__file__).resolve().parents[2] / "leaderboard" / "results"


@pytest.fixture(scope="module")
def published():
    return load_record(next((RESULTS / "babel" / "lape").glob("*/record.json")))


def altered(record, **changes):
    return record.model_copy(update={"detector": record.detector.model_copy(update=changes)})


def test_a_published_record_is_of_what_ships(published):
    assert list(detector_problems(published)) == []
    for path in sorted(RESULTS.glob("*/*/*/record.json"))[::9]:
        assert list(detector_problems(load_record(path))) == []


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"plugin": "mine"}, "/detector/plugin"),
        ({"distribution": "mine 1.0"}, "/detector/plugin"),
        ({"distribution": None}, "/detector/plugin"),
        ({"name": "lapse"}, "/detector/name"),
        ({"options": {"threshold": 1.0}}, "/detector/options"),
        ({"options": {"top_rate": 7.0}}, "/detector/options"),
        ({"options": {"top_rate": 0.01}}, "/detector/options"),
    ],
)
def test_a_name_of_ours_stands_for_ours(published, changes, pointer):
    assert [p.pointer for p in detector_problems(altered(published, **changes))] == [pointer]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("run")
    return [Entry(root / name, synthetic_run(root / name, seed=seed)) for seed, name in ((1, "a"), (2, "b"))]


def with_items(entry, folder, alter):
    """Return an entry whose items went through `alter`, which gets each as a document."""
    name = present(find(entry.record.files, "items")).name
    documents = [json.loads(item.line()) for item in read_items(entry.folder / name)]
    for document in documents:
        alter(document)
    folder.mkdir()
    assert unpacked(write_items(folder, [RecordedItem(**document) for document in documents])).name == name
    return Entry(folder, entry.record)


def test_the_intact_model_is_the_same_in_every_record(run, tmp_path):
    assert list(disagreements(run, run)) == []

    def better(document):
        document["values"]["nll"] *= 0.9

    ((entry, problem),) = disagreements([run[0], with_items(run[1], tmp_path / "x", better)], run)
    assert entry.folder == tmp_path / "x"
    assert "in " + run[0].slug in problem.message
    assert problem.pointer == "/files"


def edits(**values):
    return lambda document: document["values"].update(values)


INVENTIONS = {
    "a negative likelihood": (edits(nll=-1.0), "at least 0"),
    "one byte": (edits(bytes=1), "bytes a token"),
    "half a token": (edits(tokens=0.5), "whole number"),
    "half an answer": (edits(acc=0.5), "0 or 1"),
    "draws like the intact model": (
        lambda d: d["values"].update(nll=50.0) if d["control"] is not None or d["target"] is None else None,
        "those of the intact model",
    ),
    "an edit that edits nothing": (edits(nll=50.0), "those of the intact model"),
    "other text in a cell": (lambda d: d["values"].update(tokens=21) if d["target"] else None, "other tokens"),
    "other sources in a cell": (lambda d: d.update(cluster="x") if d["target"] else None, "another cluster"),
    "items that the intact model lacks": (
        lambda d: d.update(id="x" + d["id"]) if d["target"] else None,
        "not measured",
    ),
}


@pytest.mark.parametrize(("alter", "words"), INVENTIONS.values(), ids=INVENTIONS)
def test_items_that_no_model_gives_are_found(run, tmp_path, alter, words):
    entry = with_items(run[0], tmp_path / "x", alter)
    items = list(read_items(entry.folder / present(find(entry.record.files, "items")).name))
    found = list(item_problems(entry.record, from_items(items)))
    assert any(words in problem.message for problem in found), found
