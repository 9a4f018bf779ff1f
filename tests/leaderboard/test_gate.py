"""The submission gate: what it takes in, what it refuses and why, what it tells the reviewer."""

import copy
import json
import math
import os
import re
import shutil
import subprocess

import pytest

from nharness.cli.main import main
from nharness.errors import FileFormatError, OutputError, UsageError
from nharness.record.model import content_id
from nharness_leaderboard.comment import comment
from nharness_leaderboard.gate import check
from nharness_leaderboard.reproduction import reproduction_of
from nharness_leaderboard.results import place, read_results, slug
from nharness_leaderboard.submission import add
from synthetic_runs import synthetic_run

SIZE = {"draws": 4, "documents": 48}  # 24 sources a language: enough for a rank


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return [
        (root / name, synthetic_run(root / name, seed=seed, strength=0.1 * seed, detector=f"synthetic-{name}", **SIZE))
        for seed, name in ((1, "weak"), (4, "strong"))
    ]


@pytest.fixture
def results(runs, tmp_path):
    folder = tmp_path / "results"
    for run, _ in runs:
        add(run, folder)
    return folder


def messages(verdict):
    return " | ".join(f"{p.pointer} {p.message}" for found in verdict.problems.values() for p in found)


def rewrite(folder, **changes):
    """Change a record's document in place, its content key renewed, and put it where it then belongs."""
    document = json.loads((folder / "record.json").read_text()) | changes
    document["identity"]["id"] = content_id(document)
    (folder / "record.json").write_text(json.dumps(document))
    target = folder.parent / document["identity"]["id"][:12]
    return folder.rename(target)


def test_added_records_pass_and_the_badge_is_ours(runs, results, tmp_path):
    verdict = check(results)
    assert verdict.passed, messages(verdict)
    assert len(verdict.new) == 2
    path = add(runs[0][0], tmp_path / "other")
    assert path == tmp_path / "other" / place(runs[0][1])
    document = json.loads((path / "record.json").read_text())
    assert document["identity"]["badge"] == "self-reported"
    assert document["identity"]["id"] == runs[0][1].identity.id
    with pytest.raises(OutputError, match="already published"):
        add(runs[0][0], results)


def test_the_same_measurement_under_another_command_is_the_same_record(runs, results, tmp_path):
    again = tmp_path / "again"
    shutil.copytree(runs[0][0], again)
    document = json.loads((again / "record.json").read_text())
    document["identity"] |= {"command": "nharness run --out elsewhere", "created": "2026-11-21T00:00:00Z"}
    (again / "record.json").write_text(json.dumps(document))
    with pytest.raises(OutputError, match="already published"):
        add(again, results)


def test_only_valid_records_are_added(runs, tmp_path):
    bad = tmp_path / "bad"
    shutil.copytree(runs[0][0], bad)
    (bad / "items.jsonl").write_text("{}")
    with pytest.raises(FileFormatError, match="not a valid record"):
        add(bad, tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_only_a_maintainer_gives_the_badge_reproduced(runs, tmp_path, capsys):
    made = tmp_path / "made"
    shutil.copytree(runs[0][0], made)
    found = reproduction_of(runs[0][1], made, runs[0][1], runs[0][0])
    assert (found.verdict, found.beyond, found.absent) == ("reproduced", 0, 0)
    (made / "reproduction.json").write_text(json.dumps(found.document()))
    folder = add(made, tmp_path)
    shutil.rmtree(made)
    assert json.loads((folder / "record.json").read_text())["identity"]["badge"] == "reproduced"
    assert "only a maintainer gives the badge 'reproduced'" in messages(check(tmp_path))
    assert check(tmp_path, reproduced=True).passed
    assert main(["leaderboard", "check", "--results", str(tmp_path)]) == 1
    assert main(["leaderboard", "check", "--results", str(tmp_path), "--reproduced"]) == 0
    capsys.readouterr()
    (folder / "reproduction.json").unlink()
    assert "no reproduction beside the record earned it" in messages(check(tmp_path, reproduced=True))
    assert add(folder, tmp_path / "again").parent.is_dir()
    assert (
        json.loads((tmp_path / "again" / place(runs[0][1]) / "record.json").read_text())["identity"]["badge"]
        == "self-reported"
    )


def test_a_curve_is_what_its_records_say(tmp_path):
    made = [
        synthetic_run(tmp_path / "new" / str(budget), seed=3, strength=20 * budget, budget=budget)
        for budget in (0.01, 0.02)
    ]
    points = [
        {"task": "ppl", "axis": "budget", "value": r.selection.budget, "neurons": 3, "controls": None}
        | {name: r.document()["summary"][0][name] for name in ("on_target", "off_target", "selectivity")}
        for r in made
    ]

    def published(lie=0.0, which=(0, 1)):
        results = tmp_path / f"results{lie}{len(which)}"
        for index in which:
            run = tmp_path / "new" / str(made[index].selection.budget)
            document = made[index].document() | {"curve": copy.deepcopy(points)}
            document["curve"][1]["selectivity"]["value"] += lie
            document["curve"][1]["on_target"]["value"] += lie
            width = math.log10(0.02) - math.log10(0.01)
            values = [point["selectivity"]["value"] for point in document["curve"]]
            document["summary"][0]["area_under_budget"] = sum(values) / 2 * width / width
            document["identity"]["id"] = content_id(document)
            (run / "record.json").write_text(json.dumps(document))
            add(run, results)
        return messages(check(results))

    assert published() == ""
    assert "/curve/1/selectivity differs from the summary of the record measured at this dose" in published(lie=0.5)
    assert "no record here was measured at budget 0.02" in published(which=(0,))


def test_the_comment_shows_text_as_text(results):
    folder = min(results.glob("*/*/*"))
    document = json.loads((folder / "record.json").read_text())
    evil = "[x](https://evil.example) <img src=x> **b** | @all #1 `c` abc www.evil.example &lt;b&gt; :smile:"
    document["model"]["name"] = evil
    document["tasks"][0]["unit"] = evil
    rewrite(folder, model=document["model"], tasks=document["tasks"])
    text = comment(check(results))
    row = next(line for line in text.splitlines() if r"\[x\]" in line)
    assert row.count("|") - row.count("\\|") == 12
    assert re.findall(r"(?<!\\)[\[\]<>*`#!:&_~]", row) == []
    for mark in ("@all", "www.e"):
        assert mark not in row, mark


def test_the_comment_says_how_new_records_stand(tmp_path):
    for seed, (name, leak) in enumerate((("clean", 0.02), ("leaky", 0.5))):
        record = synthetic_run(tmp_path / "new", seed=seed + 1, documents=60, leak=leak, detector=name)
        folder = tmp_path / "results" / place(record)
        folder.parent.mkdir(parents=True)
        (tmp_path / "new").rename(folder)
    text = comment(check(tmp_path / "results"))
    best, other = (next(line for line in text.splitlines() if f"| {name} |" in line) for name in ("clean", "leaky"))
    assert "is the best" in best
    assert "1 of 2" in best
    assert "2 of 2" in other
    assert "\N{MINUS SIGN}0." in other.rsplit("|", 2)[1]


def test_untrue_numbers_are_refused(results):
    folder = next(results.glob("*/*/*"))
    document = json.loads((folder / "record.json").read_text())
    document["summary"][0]["per_neuron_damage"] = 9.0
    rewrite(folder, summary=document["summary"])
    verdict = check(results)
    assert not verdict.passed
    assert "/summary/0/per_neuron_damage the record says 9.0, the items give" in messages(verdict)
    assert "not ready" in comment(verdict)


def test_missing_items_and_controls_are_refused(results):
    folder = next(results.glob("*/*/*"))
    document = json.loads((folder / "record.json").read_text())
    kept = [entry for entry in document["files"] if entry["role"] != "items"]
    cells = [cell | {"control": None} for cell in document["cells"]]
    rewrite(folder, files=kept, cells=cells, controls=None)
    found = messages(check(results))
    assert "comes with its items file" in found
    assert "compared with random neurons" in found
    assert "lies beside the record" in found


def test_a_record_of_empty_sets_is_refused_for_that(results):
    """Its controls are missing because there is nothing to draw them for."""
    folder = next(results.glob("*/*/*"))
    cells = json.loads((folder / "record.json").read_text())["cells"]
    rewrite(folder, cells=[cell | {"control": None, "flags": ["empty_target"]} for cell in cells], controls=None)
    found = messages(check(results))
    assert "no language has a neuron here" in found
    assert "compared with random neurons" not in found


def test_duplicates_misplaced_records_and_strays_are_refused(results):
    folder = min(results.glob("*/*/*"))
    twin = folder.parent / "twin"
    shutil.copytree(folder, twin)
    document = json.loads((twin / "record.json").read_text())
    document["analysis"]["seed"] = 8
    document["identity"]["id"] = content_id(document)
    (twin / "record.json").write_text(json.dumps(document))
    (results / "notes.txt").write_text("hello")
    (folder / "more.bin").write_bytes(b"x")
    (folder / "link").symlink_to("/etc/hostname")
    (folder / "folder").symlink_to("/etc")
    found = messages(check(results))
    for words in (
        "belongs in",
        "asks the same as",
        "belongs to no record",
        "'more.bin' lies beside",
        "'link' is a link",
        "'folder' is a link",
    ):
        assert words in found, words


def test_the_same_record_twice_is_one(results):
    folder = min(results.glob("*/*/*"))
    shutil.copytree(folder, folder.parent / "again")
    read = read_results(results)
    assert len(read.entries) == 2
    assert "the same record as" in str(list(read.problems.values()))


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("/etc/passwd"), os.mkfifo], ids=["link", "pipe"])
def test_a_results_folder_has_plain_files_of_its_own_and_at_the_top(results, make):
    (results / "README.md").write_text("what lies here")
    assert check(results).passed
    below = min(results.glob("*/*")) / "README.md"
    below.write_text("what lies here")
    (results / "README.md").unlink()
    make(results / "README.md")
    assert {path for path, found in check(results).problems.items() if found} == {below, results / "README.md"}


def test_one_record_with_a_large_file_does_not_stop_the_site(results, tmp_path, monkeypatch, capsys):
    largest = max(path.stat().st_size for path in results.glob("*/*/*/*"))
    monkeypatch.setattr("nharness_leaderboard.results.MAX_FILE", largest - 1)
    assert main(["leaderboard", "build", "--results", str(results), "--out", str(tmp_path / "site")]) == 1
    assert f"has {largest} bytes; at most {largest - 1} are published" in capsys.readouterr().out
    assert (tmp_path / "site" / "index.html").is_file()


def test_large_files_are_refused(results, monkeypatch):
    monkeypatch.setattr("nharness_leaderboard.gate.MAX_FILE", 1000)
    assert "at most 1000 are published" in messages(check(results))


def git(folder, *arguments):
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments],
        check=True,
        capture_output=True,
        env=environment,
    )


def test_base_limits_what_is_new(runs, tmp_path):
    root = tmp_path / "repository"
    results = root / "leaderboard" / "results"
    add(runs[0][0], results)
    git(root, "init", "-q", "-b", "master")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "one")
    assert check(results, base="HEAD").new == ()
    added = add(runs[1][0], results)
    assert [entry.folder for entry in check(results, base="HEAD").new] == [added]
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "two")
    assert [entry.folder for entry in check(results, base="HEAD~1").new] == [added]
    git(root, "checkout", "-q", "-b", "behind", "HEAD~1")
    assert check(results, base="master").removed == ()  # what came to the base since is not gone from here
    git(root, "checkout", "-q", "master")
    shutil.rmtree(added)
    verdict = check(results, base="HEAD")
    assert verdict.removed == (f"{added.relative_to(results).as_posix()}/record.json",)
    assert "1 record(s) removed" in comment(verdict)
    git(root, "checkout", "-q", ".")
    for base in ("no-such-branch", "--output=/tmp/x"):
        with pytest.raises(UsageError):
            check(results, base=base)
    shutil.rmtree(root / ".git")
    with pytest.raises(UsageError, match="not a git repository"):
        check(results, base="HEAD")


def test_command_line(runs, results, tmp_path, capsys):
    assert main(["leaderboard", "check", "--results", str(results), "--comment", str(tmp_path / "c.md")]) == 0
    assert (tmp_path / "c.md").read_text() == capsys.readouterr().out
    assert main(["leaderboard", "add", str(runs[0][0] / "record.json"), "--results", str(tmp_path / "new")]) == 0
    (tmp_path / "new" / "stray").write_text("x")
    assert main(["leaderboard", "check", "--results", str(tmp_path / "new")]) == 1
    assert main(["leaderboard", "add", "--results", str(tmp_path / "new")]) == 4
    assert main(["leaderboard", "build", "--results", str(tmp_path / "absent")]) == 4
    capsys.readouterr()


def test_validate_command(runs, tmp_path, capsys):
    good = str(runs[0][0])
    assert main(["validate", "--deep", good]) == 0
    assert main(["validate", good, str(tmp_path / "absent.json")]) == 4
    bad = tmp_path / "record.json"
    document = runs[0][1].document() | {"surprise\n::error::": 1}
    bad.write_text(json.dumps(document))
    capsys.readouterr()
    assert main(["validate", "--format", "json", "--no-files", good, str(bad)]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [entry["valid"] for entry in found] == [True, False]
    assert {"pointer": "/surprise\n::error::", "message": "no field of this name exists in a record"} in found[1][
        "problems"
    ]
    assert main(["validate", "--format", "github", "--no-files", str(bad)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("::error file=")
    assert all(line.startswith("::error file=") or line == "0 valid, 1 not" for line in lines)
    assert main(["validate", "--no-files", str(bad)]) == 1
    assert "surprise\\n" in capsys.readouterr().out


def test_slugs_are_safe_and_differ():
    names = ["a/b", "a-b", "A-B", "../..", "", "con", "a" * 300, "名前", "a\x00b"]
    slugs = [slug(name) for name in names]
    assert len(set(slugs)) == len(names)
    assert "con" not in slugs  # which Windows takes for a device
    assert all(part and set(part) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for part in slugs)
