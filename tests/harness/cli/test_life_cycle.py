"""Plug-ins in the course of a real run: what they are told, in which order, and what they may change."""

import json
import textwrap

import pytest

from nharness.cli.main import main

WATCHER = """
    import json, os
    from nharness import hookimpl

    def note(*what):
        with open(os.environ["SEEN"], "a") as file:
            print(json.dumps(what), file=file)

    @hookimpl
    def nharness_run_started(configuration):
        note("run_started", configuration["seed"], configuration["languages"])

    @hookimpl
    def nharness_modify_cells(cells):
        note("modify_cells", len(cells))
        exec(os.environ.get("MODIFY", ""))

    @hookimpl
    def nharness_cell_started(cell):
        note("cell_started", cell.id)

    @hookimpl
    def nharness_cell_finished(cell, outcome):
        note("cell_finished", cell.id, outcome.status, outcome.reused)

    @hookimpl
    def nharness_record_written(record, path):
        note("record_written", record.detector.name, os.path.exists(path))

    @hookimpl
    def nharness_summary(records):
        note("summary", len(records))
        return f"the watcher saw {len(records)} record"
"""


@pytest.fixture
def watched(tiny_run, tmp_path, monkeypatch):
    (tmp_path / "watcher.py").write_text(textwrap.dedent(WATCHER))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))

    def run(*argv, modify=""):
        monkeypatch.setenv("MODIFY", modify)
        (tmp_path / "seen").write_text("")
        code = main(
            [*tiny_run, "-p", "watcher", "--store", str(tmp_path / "store"), "--out", str(tmp_path / "out"), *argv]
        )
        return code, [json.loads(line) for line in (tmp_path / "seen").read_text().splitlines()]

    return run


def named(events, hook):
    return [event[1] for event in events if event[0] == hook]


def test_a_watcher_sees_everything_in_order(watched, capsys):
    code, events = watched()
    assert code == 0
    hooks = [event[0] for event in events]
    assert hooks[:2] == ["modify_cells", "run_started"]
    assert events[0][1] == 14
    assert events[1][1:] == [0, ["en", "de"]]
    assert hooks[-2:] == ["record_written", "summary"]
    assert events[-2][1:] == ["lape", True]
    started, finished = named(events, "cell_started"), named(events, "cell_finished")
    assert sorted(started) == sorted(finished)
    assert len(finished) == 14
    for cell in started:
        assert events.index(["cell_started", cell]) < events.index(["cell_finished", cell, "passed", False])
    assert "\nthe watcher saw 1 record\n" in capsys.readouterr().out

    code, events = watched()  # all of it is in the store now
    assert code == 0
    assert named(events, "cell_started") == []
    assert [event[2:] for event in events if event[0] == "cell_finished"] == [["passed", True]] * 14


def test_cells_are_run_in_the_order_a_plugin_gives_them_without_those_it_drops(watched, tmp_path, capsys):
    keep = "cells[:] = [c for c in reversed(cells) if c.edition and c.edition.control is None and c.language == 'de']"
    code, events = watched(modify=keep)
    assert code == 0
    assert named(events, "cell_finished") == ["baseline::ppl[de]", "lape[de]/zero::ppl[de]", "lape[en]/zero::ppl[de]"]
    record = json.loads((tmp_path / "out" / "records" / "lape-zero" / "record.json").read_text())
    measured = {(cell["target"], cell["language"]) for cell in record["cells"] if cell["status"] == "ok"}
    assert measured == {("de", "de"), ("en", "de")}
    assert "failed" not in capsys.readouterr().out  # what was left out did not fail
    assert main(["validate", "--deep", str(tmp_path / "out" / "records" / "lape-zero" / "record.json")]) == 0


@pytest.mark.parametrize(
    ("modify", "code", "message"),
    [
        (
            "import dataclasses; cells.append(dataclasses.replace(cells[0], language='fr'))",
            4,
            "nharness_modify_cells added baseline::ppl[fr]; it may reorder and drop cells only",
        ),
        ("cells.append(cells[0])", 4, "nharness_modify_cells added a cell twice"),
        ("cells.append('lape')", 4, "nharness_modify_cells added lape"),
        ("cells.clear()", 5, "plug-ins dropped all 14 cells"),
    ],
)
def test_what_a_plugin_may_not_do(watched, capsys, modify, code, message):
    assert watched(modify=modify)[0] == code
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_a_hook_that_fails_half_way_changes_nothing_and_is_told(watched, capsys):
    code, events = watched("--controls", "0", modify="cells.pop(); raise SystemExit('a\\nb')")
    assert code == 1
    assert len(named(events, "cell_finished")) == 6
    told = capsys.readouterr().err
    assert told == "warning: plug-in 'watcher' failed in nharness_modify_cells: SystemExit: a b\n"
