"""Who goes on with a run needs to name its folder alone."""

import json

import pytest

from nharness.cli.main import main


def test_the_store_is_found_again_from_anywhere(tiny_run, tmp_path, monkeypatch, capsys):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    assert main([*tiny_run, "--store", "store", "--out", "out"]) == 0
    monkeypatch.chdir(elsewhere)
    capsys.readouterr()
    assert main(["run", "--resume", "--out", str(tmp_path / "out"), "-q"]) == 0
    assert "14 passed (14 reused)" in capsys.readouterr().out
    assert not (tmp_path / "out" / "store").exists()


def test_the_cost_of_a_record_does_not_depend_on_who_paid_it(tiny_run, tmp_path):
    costs = []
    for _ in range(2):
        assert main([*tiny_run, "--out", str(tmp_path)]) == 0
        costs.append(json.loads((tmp_path / "records/lape-zero/record.json").read_text())["cost"])
    first, second = costs
    assert first["forward_tokens"] == second["forward_tokens"]
    assert first["seconds"]["record"] == pytest.approx(second["seconds"]["record"])
    assert first["seconds"]["evaluate"] == pytest.approx(second["seconds"]["evaluate"])
    assert all(first["forward_tokens"].values())
    assert (first["cells_computed"], first["cells_reused"]) == (second["cells_reused"], second["cells_computed"])


def test_another_store_may_be_named(tiny_run, tmp_path, capsys):
    out = ["--out", str(tmp_path / "out")]
    assert main([*tiny_run, "--store", str(tmp_path / "one"), *out]) == 0
    capsys.readouterr()
    assert main(["run", "--resume", "--store", str(tmp_path / "two"), *out, "-q"]) == 0
    assert "14 passed (0 reused)" in capsys.readouterr().out
