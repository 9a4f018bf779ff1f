"""The parts of a job array, joined, are the whole run; what is missing is named."""

import json

import pytest

from nharness.cli.main import main


def record(out):
    document = json.loads((out / "records" / "lape-zero" / "record.json").read_text())
    for part in ("created", "command", "id"):
        del document["identity"][part]
    del document["cost"], document["detector"]["seconds"]
    return document


@pytest.fixture
def parts(tiny_run, tmp_path):
    for number in (1, 2):
        assert main([*tiny_run, "--shard", f"{number}/2", "--out", str(tmp_path / f"part{number}")]) == 0
    return [str(tmp_path / "part1"), str(tmp_path / "part2")]


def test_parts_joined_are_the_whole(tiny_run, parts, tmp_path, capsys):
    assert not (tmp_path / "part1" / "records").exists()  # a part has nothing to say of the whole
    sizes = [len(list((tmp_path / name).glob("store/cells/*/*.json"))) for name in ("part1", "part2")]
    assert sizes == [8, 8]  # 2 baselines each, and half of the 12 others
    assert main([*tiny_run, "--out", str(tmp_path / "whole")]) == 0
    assert main(["collect", *parts, "--out", str(tmp_path / "joined"), "-q"]) == 0
    assert "14 passed (14 reused)" in capsys.readouterr().out
    assert record(tmp_path / "joined") == record(tmp_path / "whole")


def test_what_is_missing_is_named(parts, tmp_path, capsys):
    assert main(["collect", parts[0], "--out", str(tmp_path / "joined"), "-q"]) == 1
    printed = capsys.readouterr().out
    assert "lape[de]/zero::ppl[en]: missing: it is in none of the stores" in printed
    assert "lape[en]/zero" not in printed
    cells = record(tmp_path / "joined")["cells"]
    assert {cell["target"]: cell["status"] for cell in cells} == {"en": "ok", "de": "failed"}
    assert main(["collect", *parts, "--out", str(tmp_path / "joined"), "-q"]) == 0


def test_parts_of_different_runs_are_not_joined(tiny_run, parts, tmp_path, capsys):
    assert main([*tiny_run, "--seed", "5", "--shard", "1/2", "--out", str(tmp_path / "other")]) == 0
    assert main(["collect", *parts, str(tmp_path / "other"), "--out", str(tmp_path / "joined")]) == 4
    assert "other holds a run of another specification than" in capsys.readouterr().err


def test_the_plan_of_a_part_runs_nothing(tiny_run, capsys):
    seen = []
    for number in (1, 2, 3):
        argv = ["plan", *tiny_run[1:-1], "--json", "--shard", f"{number}/3"]
        assert main(argv) == 0
        seen.append(json.loads(capsys.readouterr().out)["cells"])
    everything = [cell for part in seen for cell in part if not cell.startswith("baseline")]
    assert len(everything) == len(set(everything)) == 12


@pytest.mark.parametrize("shard", ["0/2", "3/2", "2", "a/b", "1/0"])
def test_a_part_that_is_none_says_what_is_expected(tiny_run, shard, tmp_path, capsys):
    assert main([*tiny_run, "--shard", shard, "--out", str(tmp_path / "o")]) == 4
    assert f"--shard is {shard!r}; expected i/n with i from 1 to n, such as 2/5" in capsys.readouterr().err


def test_cache_shows_and_prunes(parts, tmp_path, capsys):
    assert main(["cache", "show", *parts, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["kind"], row["entries"]) for row in rows] == [("cells", 8), ("recorded", 2), ("statistics", 2)] * 2
    left = next((tmp_path / "part1").glob("store/cells/*")) / ".torn.json.x.part"
    left.write_bytes(b"half")
    assert main(["cache", "prune", parts[0], "--older-than", "1"]) == 0
    assert left.exists()
    assert main(["cache", "prune", parts[0], "--older-than", "0", "--kind", "cells"]) == 0
    assert "9" in capsys.readouterr().out
    assert not left.exists()
    assert main(["cache", "show", parts[0], "--json"]) == 0
    assert {row["kind"] for row in json.loads(capsys.readouterr().out)} == {"recorded", "statistics"}


@pytest.mark.parametrize(
    ("argv", "message"),
    [(["prune"], "prune needs --older-than DAYS"), (["show", "nowhere"], "nowhere holds no store; expected a run folder")],
)
def test_cache_says_what_it_needs(argv, message, capsys):
    assert main(["cache", *argv]) == 4
    assert message in capsys.readouterr().err
