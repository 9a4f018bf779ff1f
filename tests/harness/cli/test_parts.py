"""The parts of a job array, joined, are the whole run; what is missing is named."""

import json
import os
import shutil
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nharness.cli.collect import common_parts
from nharness.cli.main import main
from nharness.errors import UsageError
from nharness.run.stages import assess
from nharness.run.work.executor import StoredExecutor


def record(out):
    document = json.loads((out / "records" / "lape-zero" / "record.json").read_text())
    for part in ("created", "command", "id"):
        del document["identity"][part]
    del document["cost"], document["detector"]["seconds"]
    return document


@pytest.fixture(scope="module")
def parts(tiny_run, tmp_path_factory):
    """The folders of both parts of a run; tests leave them as they are."""
    folders = [str(tmp_path_factory.mktemp("parts") / f"part{number}") for number in (1, 2)]
    for number, folder in enumerate(folders):
        assert main([*tiny_run, "--shard", f"{number + 1}/2", "--out", folder]) == 0
    return folders


def edited(folder, target, name, **changed):
    """Return a copy of a run folder with something else in one of its files."""
    shutil.copytree(folder, target)
    document = json.loads((target / name).read_text())
    (target / name).write_text(json.dumps(document | changed))
    return str(target)


def test_parts_joined_are_the_whole(tiny_run, parts, tmp_path, capsys):
    found = [Path(folder) for folder in parts]
    assert not any((folder / "records").exists() for folder in found)  # a part has nothing to say of the whole
    assert [len(list(folder.glob("store/cells/*/*.json"))) for folder in found] == [
        8,
        8,
    ]  # 2 baselines each, half of 12
    assert main([*tiny_run, "--out", str(tmp_path / "whole")]) == 0
    assert main(["collect", *parts, "--out", str(tmp_path / "joined"), "-q"]) == 0
    assert "14 passed (14 reused)" in capsys.readouterr().out
    assert record(tmp_path / "joined") == record(tmp_path / "whole")


def test_a_part_repeats_no_detection_and_scores_none(tiny_run, tmp_path, monkeypatch):
    """A part writes no record, so that what only records have is left to `collect` and the whole run."""
    done = []
    for name in ("score_detectors", "repeat_detection"):
        genuine = getattr(assess, name)

        def seen(*given, name=name, genuine=genuine):
            done.append(name)
            return genuine(*given)

        monkeypatch.setattr(assess, name, seen)
    argv = [*tiny_run, "--detect-tokens", "2000", "--ground-truth", "--folds", "2", "--store", str(tmp_path / "store")]
    assert main([*argv, "--shard", "1/2", "--out", str(tmp_path / "part")]) == 0
    assert done == []
    assert main([*argv, "--out", str(tmp_path / "whole")]) == 0
    assert done == ["score_detectors", "repeat_detection"]


def test_what_is_missing_is_named(parts, tmp_path, capsys):
    assert main(["collect", parts[0], "--out", str(tmp_path / "joined"), "-q"]) == 1
    printed = capsys.readouterr().out
    assert "lape[de]/zero::ppl[en]: missing: part 2/2 was not given" in printed
    assert "lape[en]/zero" not in printed
    cells = record(tmp_path / "joined")["cells"]
    assert {cell["target"]: cell["status"] for cell in cells} == {"en": "ok", "de": "failed"}
    assert main(["collect", *parts, "--out", str(tmp_path / "joined"), "-q"]) == 0


def test_a_store_elsewhere_is_found_and_named_where_it_was_moved(parts, tmp_path, capsys):
    first, kept = edited(parts[0], tmp_path / "first", "run.json", store=str(tmp_path / "kept")), tmp_path / "kept"
    (tmp_path / "first" / "store").rename(kept)
    assert main(["collect", first, parts[1], "--out", str(tmp_path / "whole"), "-q"]) == 0
    assert main(["cache", "show", first, first, "--json"]) == 0
    capsys.readouterr()
    kept.rename(tmp_path / "moved")
    assert main(["cache", "show", first]) == 4
    assert f"first keeps its store in {kept}, which does not exist; name the folder" in capsys.readouterr().err
    assert main(["collect", first, parts[1], str(tmp_path / "moved"), "--out", str(tmp_path / "again"), "-q"]) == 0
    assert record(tmp_path / "again") == record(tmp_path / "whole")


def test_a_part_that_did_not_end_is_named_and_goes_on_as_the_part_it_was(parts, tmp_path, capsys):
    unfinished = tmp_path / "unfinished"
    shutil.copytree(parts[1], unfinished)
    lost = 0
    for path in sorted(unfinished.glob("store/cells/*/*.json")):
        if not (Path(parts[0]) / path.relative_to(unfinished)).exists():  # none of the baselines, which every part has
            path.unlink()
            lost += 1
    assert lost == 6
    whole = ["collect", parts[0], str(unfinished), "--out", str(tmp_path / "whole"), "-q"]
    assert main(whole) == 1
    printed = capsys.readouterr().out
    named = [
        line.split(": ")[0].strip() for line in printed.splitlines() if "missing: part 2/2 did not finish it" in line
    ]
    assert {"lape[de]/zero::ppl[en]", "lape[de]/zero::ppl[de]"} <= set(
        named
    )  # draws are missed once their target is there
    assert "was not given" not in printed
    assert main(["run", "--resume", "--out", str(unfinished), "-q"]) == 0  # without --shard
    assert "8 passed (2 reused)" in capsys.readouterr().out
    assert main(whole) == 0


def test_parts_are_joined_where_there_is_another_device(parts):
    here: Any = SimpleNamespace(identity=json.loads((Path(parts[0]) / "identity.json").read_text()))
    made_by = {**here.identity, "device": "cuda"}
    assert StoredExecutor(here, options={"identity": made_by}).identity == made_by
    with pytest.raises(UsageError, match=r"the parts were run with torch 1\.0, expected "):
        StoredExecutor(here, options={"identity": {**made_by, "torch": "1.0"}})


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("identity.json", {"torch": "1.0"}, "other was run with torch 1.0, "),
        ("run.json", {"part": {"shard": "2/3", "expression": ""}}, "other is divided differently from "),
        ("run.json", {"part": None}, "other is divided differently from "),
    ],
)
def test_what_does_not_belong_together_is_not_joined(parts, tmp_path, name, changed, message):
    other = edited(parts[1], tmp_path / "other", name, **changed)
    with pytest.raises(UsageError, match=message):
        common_parts([Path(parts[0]), Path(other)])


def test_a_folder_of_a_part_takes_no_other_part_and_is_no_place_for_the_whole(tiny_run, parts, capsys):
    assert main([*tiny_run, "--shard", "2/2", "--out", parts[0]]) == 4
    assert "part1 holds part 1/2; choose another --out for other cells" in capsys.readouterr().err
    assert main([*tiny_run, "--shard", "1/2", "-k", "en", "--out", parts[0]]) == 4
    assert "part1 holds part 1/2; choose another" in capsys.readouterr().err
    assert main(["collect", *parts, "--out", parts[0]]) == 4
    assert "part1 is one of the folders to join" in capsys.readouterr().err


def test_parts_of_different_runs_are_not_joined(tiny_run, parts, tmp_path, capsys):
    assert main([*tiny_run, "--seed", "5", "--shard", "1/2", "--out", str(tmp_path / "other")]) == 0
    assert main(["collect", *parts, str(tmp_path / "other"), "--out", str(tmp_path / "joined")]) == 4
    assert "other holds a run with a different specification from" in capsys.readouterr().err


def test_the_plan_of_a_part_runs_nothing(tiny_run, capsys):
    seen = []
    for number in (1, 2, 3):
        argv = ["plan", *tiny_run[1:-1], "--json", "--shard", f"{number}/3"]
        assert main(argv) == 0
        seen.append(json.loads(capsys.readouterr().out)["cells"])
    everything = [cell for part in seen for cell in part if not cell.startswith("baseline")]
    assert len(everything) == len(set(everything)) == 12


def test_a_study_is_planned_as_it_is_run(tiny_model_folder, tmp_path, capsys):
    study = tmp_path / "two.toml"
    study.write_text(
        textwrap.dedent(f"""
        [study]
        name = "two"
        models = ["{tiny_model_folder}"]
        kinds = [["specific"], ["general"]]
        languages = ["en", "de"]
        tasks = ["ppl"]
        controls = {{draws = 2}}
    """)
    )
    assert main(["plan", "--study", str(study), "--shard", "1/3", "--json"]) == 0
    runs = json.loads(capsys.readouterr().out)
    assert [run["run"].split(",")[1].split(":")[0].strip() for run in runs] == ["run 1 of 2", "run 2 of 2"]
    assert [len(run["cells"]) for run in runs] == [2 + 1 * 2 + 2 * 2, 2 + 1 * 2 + 1 * 2]  # baselines, targets, draws
    assert main(["plan", "--study", str(study), "--shard", "1/3", "-q"]) == 0
    printed = capsys.readouterr().out
    assert "part 1/3 of 14 cells: 8 cells (4 controls" in printed
    assert "general neurons" in printed
    assert main(["plan", "--study", str(study), "--seed", "3"]) == 4
    assert "--study specifies the whole run; leave out --seed" in capsys.readouterr().err


@pytest.mark.parametrize("shard", ["0/2", "3/2", "2", "a/b", "1/0"])
def test_a_part_that_is_none_says_what_is_expected(tiny_run, shard, tmp_path, capsys):
    assert main([*tiny_run, "--shard", shard, "--out", str(tmp_path / "o")]) == 4
    assert f"--shard is {shard!r}; expected i/n with i from 1 to n, such as 2/5" in capsys.readouterr().err


def test_cache_shows_and_prunes(parts, tmp_path, capsys):
    assert main(["cache", "show", *parts, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["kind"], row["entries"]) for row in rows] == [("cells", 8), ("recorded", 2), ("statistics", 2)] * 2
    mine = tmp_path / "mine"
    shutil.copytree(parts[0], mine)
    fresh, stale = (next(mine.glob("store/cells/*")) / f".{name}.json.x.part" for name in ("fresh", "stale"))
    for path in (fresh, stale):
        path.write_bytes(b"half")
    os.utime(stale, (time.time() - 7200,) * 2)
    assert main(["cache", "prune", str(mine), "--older-than", "1"]) == 0
    assert stale.exists()
    assert main(["cache", "prune", str(mine), "--older-than", "0", "--kind", "cells", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.rpartition("[")[2].rpartition("]")[0])["removed"] == 9
    assert not stale.exists()
    assert fresh.exists()  # a run may be writing it at this moment
    assert main(["cache", "show", str(mine), "--json"]) == 0
    assert {row["kind"] for row in json.loads(capsys.readouterr().out)} == {"recorded", "statistics"}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["prune"], "prune needs --older-than DAYS"),
        (["show", "nowhere"], "nowhere holds no store; expected a run folder"),
        (["show", "--kind", "cell"], "unknown kind of entry 'cell'; did you mean 'cells'?"),
    ],
)
def test_cache_says_what_it_needs(argv, message, capsys):
    assert main(["cache", *argv]) == 4
    assert message in capsys.readouterr().err
