"""Records of every sort of run hold what the files beside them give: budgets, kinds, strengths, interventions."""

import json

import pytest

from nharness.cli.main import main

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
