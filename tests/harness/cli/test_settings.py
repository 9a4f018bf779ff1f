"""Where settings come from, and which plug-ins are loaded."""

import json
import sys

import pytest

from nharness.cli.main import main
from nharness.cli.settings import build_spec, configured
from nharness.errors import UsageError


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shown(capsys, *argv):
    assert main(["run", "--show-config", *argv]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.strip().splitlines()]
    assert lines[0] == ["setting", "value", "from"]
    return {name: (json.loads(value), origin) for name, value, origin in lines[1:]}


def test_every_value_says_where_it_came_from(here, capsys):
    (here / "nharness.toml").write_text('detector = "lape,ternary"\nseed = 7\ncontrols = 3\n')
    found = shown(capsys, "--seed", "8", "--languages", "en,de")
    assert found["seed"] == (8, "command line")
    assert found["controls"] == (3, "nharness.toml")
    assert found["detector"] == ([{"name": "lape"}, {"name": "ternary"}], "nharness.toml")
    assert found["languages"] == (["en", "de"], "command line")
    assert found["confidence" if "confidence" in found else "budget"][1] == "default"


def test_the_table_in_pyproject_counts_where_there_is_no_file_of_our_own(here, capsys):
    (here / "pyproject.toml").write_text('[project]\nname = "x"\n[tool.nharness]\nseed = 9\nlanguages = ["en", "fr"]\n')
    found = shown(capsys)
    assert found["seed"] == (9, "pyproject.toml")
    assert found["languages"] == (["en", "fr"], "pyproject.toml")
    (here / "nharness.toml").write_text("seed = 1\n")
    assert shown(capsys)["seed"] == (1, "nharness.toml")


def test_file_and_command_line_make_the_same_specification(here):
    (here / "nharness.toml").write_text('languages = ["English", "deu_Latn"]\neval-tokens = 700\noption = "top_rate=0.02"\n')
    from_file = build_spec(configured(here)[0])
    assert from_file.languages == ("en", "de")
    assert from_file.corpus.eval_tokens == 700
    assert from_file.detectors[0].options == {"top_rate": 0.02}


@pytest.mark.parametrize(
    ("text", "message"),
    [("sed = 7", r"unknown setting in nharness.toml 'sed'; did you mean 'seed'\?"), ("seed = = 7", "nharness.toml: not readable as TOML")],
)
def test_a_faulty_file_says_what_is_wrong(here, text, message):
    (here / "nharness.toml").write_text(text)
    with pytest.raises(UsageError, match=message):
        configured(here)


def test_a_value_out_of_range_is_refused_with_its_option(here, capsys):
    (here / "nharness.toml").write_text("controls = -1\n")
    assert main(["plan", "--detector", "lape", "--languages", "en,de"]) == 4
    assert "--controls is -1" in capsys.readouterr().err


def test_a_blocked_plugin_is_neither_imported_nor_used(here, capsys):
    sys.modules.pop("nharness_top_mean", None)
    assert main(["plan", "--detector", "top-mean", "--languages", "en,de", "-p", "no:top_mean"]) == 4
    assert "unknown detector 'top-mean'" in capsys.readouterr().err
    assert "nharness_top_mean" not in sys.modules
    assert main(["list", "plugins", "--json", "-p", "no:top_mean"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["top_mean"]["status"] == "blocked"
    assert rows["executors"]["hooks"] == ["nharness_register_executors"]


def test_without_autoload_only_named_plugins_are_there(here, capsys, monkeypatch):
    monkeypatch.setenv("NHARNESS_DISABLE_PLUGIN_AUTOLOAD", "1")
    assert main(["plan", "--detector", "lape"]) == 4
    assert "unknown detector 'lape'" in capsys.readouterr().err
    named = ["-p", "nharness_detectors.plugin", "-p", "nharness_tasks.plugin"]
    assert main(["plan", "--detector", "lape", "--languages", "en,de", "-q", *named]) == 0
    assert "cells" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "value"),
    [("--strength", "nan"), ("--budget-curve", "nan,0.1"), ("--budget-curve", "2"), ("--seed", "9" * 30),
     ("--batch-tokens", "0"), ("--bootstrap-draws", "1" + "0" * 11), ("--detect-tokens", "9" * 30)],
)  # fmt: skip
def test_numbers_that_nothing_can_hold_are_refused_before_anything_runs(here, capsys, option, value):
    assert main(["run", "--collect-only", "--languages", "en,de", option, value]) == 4
    assert "nput should be" in capsys.readouterr().err
