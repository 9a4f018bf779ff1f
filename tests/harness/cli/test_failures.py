"""Cells that fail, files that are torn, and what is asked for again."""

import json
import textwrap

import pytest

from nharness.cli.main import main

FRAGILE = """
    import os
    import numpy as np
    from nharness import Entry, NharnessError, hookimpl
    from nharness.intervention import Change, Intervention

    class Fragile(Intervention):
        name = "fragile"

        def changes(self, target, evidence):
            if target.language in os.environ.get("REFUSES", ""):
                raise NharnessError(f"nothing is known of {target.language}")
            if target.language in os.environ.get("STUMBLES", ""):
                {}["absent"]
            much = np.nan if target.language in os.environ.get("FRAGILE", "") else 0.0
            size = len(target.flat)
            return (Change("hidden", target.flat, np.zeros(size, np.float32), np.full(size, much, np.float32)),)

    @hookimpl
    def nharness_register_interventions():
        return [Entry("fragile", "breaks the targets named in FRAGILE", Fragile)]
"""


@pytest.fixture
def fragile(tiny_run, tmp_path, monkeypatch):
    (tmp_path / "fragile_plugin.py").write_text(textwrap.dedent(FRAGILE))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("FRAGILE", "en")
    return [*tiny_run, "-p", "fragile_plugin", "--intervention", "fragile", "--out", str(tmp_path / "out")]


def events(path):
    return [event for event in map(json.loads, path.read_text().splitlines()) if event["event"] == "CellFinished"]


def test_a_failed_cell_is_reported_the_rest_goes_on_and_lf_takes_it_up(fragile, tmp_path, monkeypatch, capsys):
    log = tmp_path / "log.jsonl"
    assert main([*fragile, "--log-json", str(log)]) == 1
    printed = capsys.readouterr().out
    assert "Failures" in printed
    assert "lape[en]/fragile::ppl[de]: " in printed
    assert "expected a finite number" in printed
    statuses = {event["cell"]: event["status"] for event in events(log)}
    assert {cell for cell, status in statuses.items() if status == "passed"} >= {
        "baseline::ppl[en]",
        "lape[de]/fragile::ppl[en]",
    }
    failed = {cell for cell, status in statuses.items() if status == "failed"}
    assert {"lape[en]/fragile::ppl[en]", "lape[en]/fragile::ppl[de]"} <= failed
    assert all(cell.startswith("lape[en]") for cell in failed)

    monkeypatch.setenv("FRAGILE", "")
    assert main([*fragile, "--lf", "--log-json", str(log)]) == 0
    again = events(log)
    assert {event["cell"] for event in again if not event["reused"]} <= failed
    assert {event["cell"] for event in again} == failed | {"baseline::ppl[en]", "baseline::ppl[de]"}
    assert main([*fragile, "--log-json", str(log)]) == 0
    fresh = [event["cell"] for event in events(log) if not event["reused"]]
    assert all(cell.startswith("lape[en]~") for cell in fresh)  # draws were not needed while their target failed


def test_an_intervention_that_refuses_a_target_fails_that_target_alone(fragile, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FRAGILE", "")
    monkeypatch.setenv("REFUSES", "en")
    log = tmp_path / "log.jsonl"
    assert main([*fragile, "--log-json", str(log)]) == 1
    statuses = {event["cell"]: event["status"] for event in events(log)}
    assert {cell for cell, status in statuses.items() if status == "failed"} >= {"lape[en]/fragile::ppl[en]"}
    assert statuses["lape[de]/fragile::ppl[en]"] == "passed"
    assert "target en: nothing is known of en" in capsys.readouterr().out
    assert list((tmp_path / "out" / "records").glob("*/record.json"))


def test_an_intervention_that_is_broken_fails_its_targets_alone(fragile, monkeypatch, capsys):
    monkeypatch.setenv("FRAGILE", "")
    monkeypatch.setenv("STUMBLES", "en")
    assert main([*fragile, "--controls", "0"]) == 1
    printed = capsys.readouterr().out
    assert "lape[en]/fragile::ppl[de]: KeyError: 'absent' (at fragile_plugin.py:" in printed
    assert "4 passed, 2 failed" in printed


@pytest.mark.parametrize(("flag", "number"), [(["-x"], 1), (["--maxfail", "2"], 2)])
def test_maxfail_stops_after_so_many(fragile, tmp_path, flag, number):
    log = tmp_path / "log.jsonl"
    assert main([*fragile, *flag, "--log-json", str(log)]) == 1
    statuses = [event["status"] for event in events(log)]
    assert statuses.count("failed") == number
    assert statuses[-1] == "failed"
    (end,) = [
        event
        for event in map(json.loads, log.read_text().splitlines())
        if event.get("stage") == "evaluate" and "summary" in event
    ]
    assert f"{14 - len(statuses)} cells not run after {number} failed" in end["summary"]


def test_a_torn_file_is_made_again_and_reuse_is_reported(tiny_run, tmp_path, capsys):
    argv, log = [*tiny_run[:-1], "--out", str(tmp_path / "out")], tmp_path / "log.jsonl"
    assert main(argv) == 0
    before = (tmp_path / "out" / "records" / "lape-zero" / "items.jsonl").read_bytes()
    cells = sorted((tmp_path / "out").glob("store/cells/*/*.json"))
    cells[0].write_bytes(cells[0].read_bytes()[:-7])
    statistics = sorted((tmp_path / "out").glob("store/statistics/*/*.safetensors"))
    whole = statistics[0].read_bytes()
    statistics[0].write_bytes(whole[: len(whole) // 2])
    capsys.readouterr()
    assert main([*argv, "--log-json", str(log)]) == 0
    printed = capsys.readouterr()
    assert "14 passed (13 reused)" in printed.out
    assert "14 cells, 13 of them reused" in printed.err
    assert statistics[0].read_bytes() == whole
    assert (tmp_path / "out" / "records" / "lape-zero" / "items.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "computed"),
    [
        ([], 0),
        (["--bootstrap-draws", "150"], 0),
        (["--seed", "3"], 8),  # other random neurons
        (["--eval-tokens", "900"], 14),  # other text
        (["--dtype", "float64"], 14),
        (["--max-length", "64"], 14),
        (["--option", "top_rate=0.03"], range(4, 13)),  # other neurons, the baselines stay
        (["--intervention", "scale", "--intervention-option", "factor=0.25"], 12),
        (["--precision", "0.5"], 4),
    ],
)
def test_what_changes_a_number_is_computed_again_and_nothing_else(
    tiny_run, tmp_path_factory, tmp_path, change, computed
):
    shared = tmp_path_factory.getbasetemp() / "shared-store"
    log = tmp_path / "log.jsonl"
    argv = [*tiny_run, "--store", str(shared)]
    assert main([*argv, "--out", str(tmp_path / "first")]) == 0
    assert main([*argv, *change, "--out", str(tmp_path / "second"), "--log-json", str(log)]) == 0
    fresh = [event["cell"] for event in events(log) if not event["reused"]]
    assert len(fresh) in ([computed] if isinstance(computed, int) else computed)
    assert len(fresh) == 14 or not any(cell.startswith("baseline") for cell in fresh)
