"""`--help` and `list` answer at once and without a tensor library, in words that a newcomer can use."""

import json
import re
import subprocess
import sys

import pytest

from nharness.cli.main import COMMANDS, main

HEAVY = ("torch", "transformers", "lm_eval", "datasets", "ray")
KINDS = (
    "detectors",
    "interventions",
    "statistics",
    "tasks",
    "corpora",
    "models",
    "truths",
    "executors",
    "plugins",
    "languages",
)
PROBE = """
import contextlib, io, json, sys
from nharness.cli.main import main
answers = []
for argv in json.loads(sys.argv[1]):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            code = main(argv)
        except SystemExit as stop:
            code = stop.code
    answers.append((argv, code, [name for name in {heavy!r} if name in sys.modules], out.getvalue()))
print(json.dumps(answers))
"""


def answers(*argvs):
    """Return what every command line gave in one new process: the code, heavy modules imported so far, what was printed."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE.replace("{heavy!r}", repr(HEAVY)), json.dumps(argvs)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    return json.loads(done.stdout)


def test_help_and_lists_import_no_tensor_library():
    helps = [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)]
    lists = [["list", what, "--json"] for what in KINDS] + [["list", "detectors", "lape"], ["run", "--show-config"]]
    for argv, code, heavy, printed in answers(*helps, *lists):
        assert (argv, code, heavy) == (argv, 0, [])
        assert printed.strip(), argv


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_in_a_narrow_terminal(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: nharness {name} ")
    assert printed.count("Exit codes: 0 ") == 1
    assert [line for line in printed.splitlines() if len(line) > 60 and " " in line.strip()] == []
    assert re.search(r"(?m)^  -h, --help +show", printed)


def test_every_option_says_what_it_does():
    import argparse
    import importlib

    silent = []
    for name, (module, _) in COMMANDS.items():
        parser = argparse.ArgumentParser()
        importlib.import_module(module).add_arguments(parser)
        silent += [f"{name} {action.dest}" for action in parser._actions if not action.help]
    assert silent == []


def test_evaluate_offers_no_option_of_detection(capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    printed = capsys.readouterr().out
    assert "--neurons FILE" in printed
    assert "--controls" in printed
    for flag in ("--detector", "--option ", "--folds", "--null", "--study"):
        assert flag not in printed


def test_nothing_at_all_shows_the_way(capsys):
    assert main([]) == 4
    printed = capsys.readouterr().out
    assert "The first thing to try:  nharness run --detector lape" in printed
    assert all(f"\n  {name} " in printed for name in COMMANDS)
    assert main(["rnu"]) == 4
    assert capsys.readouterr().err == "nharness: unknown command 'rnu'; did you mean 'run'?\n"


def listed(capsys, *argv):
    assert main(["list", *argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("what", "some"),
    [
        ("detectors", {"lape", "top-mean"}),
        ("interventions", {"zero", "steer"}),
        ("statistics", {"activation_count", "moments"}),
        ("tasks", {"ppl", "xcopa"}),
        ("corpora", {"sample", "ntrex"}),
        ("models", {"babel"}),
        ("executors", {"local", "ray"}),
        ("truths", {"exhaustive"}),
    ],
)
def test_lists_are_json_and_tables_of_the_same(capsys, what, some):
    rows = listed(capsys, what)
    assert all(set(row) == {"name", "summary", "plugin"} and all(row.values()) for row in rows)
    assert some <= {row["name"] for row in rows}
    assert main(["list", what]) == 0
    printed = capsys.readouterr()
    assert [line.split("\t")[0] for line in printed.out.splitlines()] == ["name", *(row["name"] for row in rows)]
    if what in {"corpora", "models"}:
        assert "a folder" in printed.err
        assert "hub" in printed.err


def test_plugins_have_all_their_fields(capsys):
    rows = {row["name"]: row for row in listed(capsys, "plugins")}
    assert rows["top_mean"] == {
        "name": "top_mean",
        "module": "nharness_top_mean",
        "distribution": "nharness-top-mean",
        "version": "0.2.0",
        "hooks": ["nharness_register_detectors"],
        "status": "active",
        "error": "",
    }
    assert {"nharness_register_tasks", "nharness_register_corpora", "nharness_register_models"} <= set(
        rows["tasks"]["hooks"]
    )


def test_the_options_of_a_detector(capsys):
    rows = {row["option"]: row for row in listed(capsys, "detectors", "lape")}
    assert rows["top_rate"] == {
        "option": "top_rate",
        "default": 0.01,
        "accepts": "a number above 0 and at most 1",
        "meaning": "share of all neurons to select",
    }
    assert {row["option"] for row in listed(capsys, "interventions", "steer")} >= {"alpha", "mode", "site"}
    assert main(["list", "interventions", "zero"]) == 0
    assert capsys.readouterr().out == "zero has no options\n"
    assert main(["list", "detectors", "lapse"]) == 4
    assert "did you mean 'lape'?" in capsys.readouterr().err
    assert main(["list", "corpora", "sample"]) == 4
    assert "corpora have no options; a name may follow detectors or interventions" in capsys.readouterr().err
