"""Recomputing a record from its files finds nothing in a true one and every change in an untrue one."""

import gzip
import json

import numpy as np
import pytest
from synthetic_runs import synthetic_run

from nharness.record.validate import validate_file
from nharness_leaderboard.deep import deep_problems


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
    ("/neurons/overlap/0/1", lambda d: d["neurons"]["overlap"][0].__setitem__(1, 0.5)),
]


@pytest.mark.parametrize(("pointer", "lie"), LIES, ids=[pointer for pointer, _ in LIES])
def test_every_lie_is_found(run, pointer, lie):
    folder, record = run
    document = record.document()
    lie(document)
    found = deep_problems(type(record).model_validate(document), folder)
    assert pointer in {p.pointer for p in found}, found


def test_damaged_files_are_problems_not_tracebacks(run, tmp_path):
    folder, record = run
    for entry in record.files:
        (tmp_path / entry.name).write_bytes((folder / entry.name).read_bytes()[: entry.bytes // 2])
    found = deep_problems(record, tmp_path)
    assert {p.pointer for p in found} == {"/neurons/file", "/files"}
    assert all("cannot be used" in p.message for p in found)


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
        (b"\xff" * 2_000_000, "over 1000000 bytes"),
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
    assert "comes twice" in str(deep_problems(record, tmp_path))
