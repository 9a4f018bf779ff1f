"""`report`, `compare`, `migrate` on records as they come: what they print, and one sentence for what is no record."""

import csv
import gzip
import io
import json
import re
import shutil

import pytest

from nharness.cli.main import main
from nharness.record.model import content_id
from nharness.report.outputs import METRIC
from nharness_leaderboard.report import html_report
from synthetic_runs import synthetic_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("run")
    made = [
        synthetic_run(root / "records" / name, seed=seed, detector=f"synthetic-{name}")
        for seed, name in ((1, "a"), (2, "b"))
    ]
    return root, made


def test_report_prints_tables(run, capsys):
    root, records = run
    assert main(["report", str(root)]) == 0
    shown = capsys.readouterr().out
    assert "synthetic-a / zero on synthetic/model :: ppl" in shown
    assert "record 2 of 2" in shown
    assert "+ is harm (ppl: bits per byte" in shown
    assert "orange" not in shown  # piped, without colours
    assert main(["report", str(root), "--format", "csv", "--table", "cells"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [float(row["change"]) for row in rows] == [cell.change for record in records for cell in record.cells]
    assert {row["record"] for row in rows} == {record.identity.id[:12] for record in records}
    assert main(["report", str(root), "--format", "every-eval-ever"]) == 0
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [len(document["evaluation_results"]) for document in documents] == [12, 12]
    assert documents[0]["model_info"]["developer"] == "synthetic"
    for style in ("latex", "markdown"):
        assert main(["report", str(root), "--format", style]) == 0
        assert capsys.readouterr().out.count("synthetic") >= 2


@pytest.mark.parametrize(("draws", "documents"), [(0, 48), (4, 2)])
def test_nothing_is_marked_without_random_neurons_or_with_two_documents(draws, documents, tmp_path, capsys):
    record = synthetic_run(tmp_path / "r", strength=3.0, draws=draws, documents=documents)
    assert draws == 0 or record.controls.draws
    assert main(["report", str(tmp_path / "r")]) == 0
    shown = capsys.readouterr().out
    matrix, _, rest = shown.partition("\n* q <" if draws else "\nnothing is marked: no random neurons were drawn")
    assert rest, shown
    assert "*" not in matrix
    assert ("few_clusters" in rest) == (documents == 2)
    page = html_report(record)
    assert "<sup>*" not in page
    assert ("Nothing is marked: no random neurons were drawn" in page) == (draws == 0)


def test_flags_of_cells_reach_compare(tmp_path, capsys):
    for name, seed in (("a", 1), ("b", 2)):
        synthetic_run(tmp_path / name, seed=seed, documents=12)
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    assert "few_clusters" in capsys.readouterr().out


def test_compare_takes_folders_and_files(run, capsys):
    root, _ = run
    one, two = root / "records" / "a", root / "records" / "b" / "record.json"
    assert main(["compare", str(one), str(two)]) == 0
    said = capsys.readouterr().out
    assert "ppl, bits per byte: harm, means over rows, first minus second" in said
    assert max(len(number) for number in re.findall(r"\d+\.\d+", said)) <= 10
    assert main(["compare", str(one), str(two), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["task"] == "ppl"


def test_report_of_outputs_without_the_items_that_judge_them(run, tmp_path, capsys):
    document = json.loads((run[0] / "records" / "a" / "record.json").read_text())
    document["tasks"][0]["metric"] = METRIC
    document["neurons"]["file"] = document["neurons"]["sha256"] = None
    document["files"] = []
    document["identity"]["id"] = content_id(document)
    (tmp_path / "record.json").write_text(json.dumps(document))
    assert main(["report", str(tmp_path)]) == 0, capsys.readouterr().err
    assert "record 1 of 1" in capsys.readouterr().out


def test_nothing_in_a_record_commands_the_terminal(run, tmp_path, capsys):
    shutil.copytree(run[0] / "records" / "a", tmp_path / "r")
    path = tmp_path / "r" / "record.json"
    document = json.loads(path.read_text())
    document["model"]["name"] = "name\x9b31m\u202e"
    document["tasks"][0]["unit"] = "unit\x1b[31m\x07"
    document["identity"]["id"] = content_id(document)
    path.write_text(json.dumps(document))
    assert main(["report", str(path)]) == 4  # no record: the schema refuses such texts, and the refusal shows none
    shown = capsys.readouterr()
    assert not set(shown.out + shown.err) & {"\x1b", "\x9b", "\x07", "\u202e"}


WRONG = {
    "not JSON": b"{",
    "gzip": gzip.compress(b"{}"),
    "binary": bytes(range(256)),
    "deep": b"[" * 100_000,
    "twice": b'{"format": "nharness-record/2", "format": "nharness-record/2"}',
    "NaN": b'{"format": NaN}',
    "huge whole number": b'{"format": 1' + b"0" * 5000 + b"}",
    "empty": b"",
    "other": b'{"format": "other/7"}',
    "list": b"[]",
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("command", ["report", "compare", "migrate", "add"])
def test_what_is_no_record_is_one_sentence(tmp_path, capsys, name, command):
    path = tmp_path / "record.json"
    path.write_bytes(WRONG[name])
    words = {
        "compare": ["compare", str(path), str(path)],
        "add": ["leaderboard", "add", str(path), "--results", str(tmp_path / "x")],
    }
    assert main(words.get(command, [command, str(path)])) == 4
    said = capsys.readouterr().err
    assert said.startswith("nharness: ")
    assert said.count("\n") == 1
    assert "Traceback" not in said
    assert "Problem(" not in said
    assert len(said) < 1200


@pytest.mark.parametrize("command", ["report", "compare", "migrate"])
def test_what_is_absent_or_a_folder_of_something_else(tmp_path, capsys, command):
    (tmp_path / "record.json").mkdir()
    for path in (tmp_path / "absent", tmp_path):
        assert main([command, str(path), str(path)] if command == "compare" else [command, str(path)]) == 4
        said = capsys.readouterr().err
        assert "Traceback" not in said
    assert "it is no plain file" in said  # a folder that is called as a record is
