"""The history of ratios: the last release that has one is what a new one is held against."""

import importlib
import json
from pathlib import Path

import pytest


@pytest.fixture
def history(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parent))
    return importlib.import_module("history")


def test_a_ratio_is_held_against_the_last_release_that_has_it(history, tmp_path):
    (tmp_path / "0.2.0.json").write_text(json.dumps({"a": 1.0, "b": 2.0}))
    (tmp_path / "0.10.0.json").write_text(json.dumps({"a": 0.8}))
    assert history.lines({"a": 1.0, "b": 1.0, "c": 3.0}, tmp_path) == [
        "a: 1.000 (+25.0% against 0.800 in 0.10.0)",
        "b: 1.000 (-50.0% against 2.000 in 0.2.0)",
        "c: 3.000 (new)",
    ]


def test_ratios_of_several_benches_are_kept_in_one_file(history, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BENCH_OUT", str(tmp_path / "some" / "bench.json"))
    history.keep({"a": 1.0})
    history.keep({"b": 2.0})
    assert json.loads((tmp_path / "some" / "bench.json").read_text()) == {"a": 1.0, "b": 2.0}
    assert "b: 2.000" in capsys.readouterr().out
