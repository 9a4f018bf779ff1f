"""Records of every sort of run hold what the files beside them give: budgets, kinds, strengths, interventions."""

import json

import pytest

from nharness.cli.main import main
from nharness.record.problems import Problem

SORTS = {
    "budget": ["--budget-curve", "0.02,0.3"],
    "kinds": ["--kinds", "specific,general"],
    "general": ["--kinds", "general"],
    "strength": ["--intervention", "scale", "--strength", "0.5,2", "--tasks", "continuation", "--limit", "4"],
    "interventions": ["--intervention", "zero,mean"],
}


@pytest.mark.parametrize("sort", SORTS)
def test_records_of_every_sort_are_valid_and_recomputable(tiny_run, tmp_path, capsys, sort):
    assert main([*tiny_run, *SORTS[sort], "--out", str(tmp_path)]) == 0, capsys.readouterr().err
    paths = sorted((tmp_path / "records").glob("*/record.json"))
    assert paths
    assert main(["validate", "--deep", *map(str, paths)]) == 0, capsys.readouterr().out
    documents = [json.loads(path.read_text()) for path in paths]
    if sort == "budget":
        assert all(len(document["curve"]) == 2 for document in documents)
        for document in documents:
            assert {target["name"]: target["neurons"] for target in document["targets"]} == document["neurons"][
                "per_language"
            ]


def test_a_valid_record_outlives_an_invalid_one(tiny_run, tmp_path, capsys, monkeypatch):
    """The second run writes another record in its place, which does not hold: the first one stays, byte for byte."""
    assert main([*tiny_run, "--out", str(tmp_path)]) == 0
    folder = tmp_path / "records" / "lape-zero"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    invalid = [Problem("/cells", "made wrong by the test")]
    monkeypatch.setattr("nharness.run.results.writer.validate_bytes", lambda _text: (None, invalid))
    assert main([*tiny_run, "--out", str(tmp_path)]) == 3
    assert "the record of lape-zero is not valid: /cells: made wrong by the test" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert (tmp_path / "records" / "lape-zero.invalid.json").is_file()
