"""What is printed for an interrupted run to be typed, and what a run folder knows of how it was begun."""

import argparse
import json
import shlex
import textwrap
from pathlib import Path

import pytest

from nharness.cli import run
from nharness.cli.main import main
from nharness.cli.session import _going_on


@pytest.mark.parametrize(
    ("typed", "again"),
    [
        ("--detector lape", "--resume --out out"),
        ("--detector lape --out elsewhere -x", "--resume --out out --maxfail 1"),
        ("--study s.toml", "--study s.toml"),
        ("--study s.toml --out base --store shared", "--study s.toml --out base --store shared"),
        ("--shard 2/5 -k 'en and not de' --store s -p mine -p no:theirs --strict-plugins",
         "--resume --out out -k 'en and not de' --shard 2/5 --store s -p mine -p no:theirs --strict-plugins"),
        ("--executor ray --workers 3 --executor-args cpus=2,gpus=0.5 --ray-address auto --lf",
         "--resume --out out --executor ray --executor-args cpus=2,gpus=0.5 --ray-address auto --workers 3 --lf"),
    ],
)  # fmt: skip
def test_what_to_type_goes_the_same_way(typed, again):
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    arguments = parser.parse_args(shlex.split(typed))
    arguments.command_line = f"nharness run {typed}"
    assert shlex.join(_going_on(arguments, Path("out"))) == f"nharness run {again}"


def test_a_joining_is_typed_again():
    arguments = argparse.Namespace(command_line="nharness collect a b --out whole")
    assert _going_on(arguments, Path("whole")) == ["nharness", "collect", "a", "b", "--out", "whole"]


def test_a_run_of_a_study_that_goes_on_alone_is_of_the_study_still(tiny_model_folder, tmp_path):
    study = tmp_path / "one.toml"
    study.write_text(textwrap.dedent(f"""
        [study]
        name = "one"
        models = ["{tiny_model_folder}"]
        languages = ["en", "de"]
        tasks = ["ppl"]
        controls = {{draws = 0}}
        analysis = {{bootstrap_draws = 100}}
    """))
    assert main(["run", "--study", str(study), "--out", str(tmp_path / "base"), "-q"]) == 0
    (out,) = (path for path in (tmp_path / "base").iterdir() if path.name.startswith("01"))
    path = out / "records" / "lape-zero" / "record.json"
    before = json.loads(path.read_text())["identity"]["study"]
    path.unlink()
    assert main(["run", "--resume", "--out", str(out), "--store", str(tmp_path / "base" / "store"), "-q"]) == 0
    assert json.loads(path.read_text())["identity"]["study"] == before
    assert before["text"] == study.read_text()


def test_an_executor_that_is_none_is_said(tiny_run, tmp_path, capsys):
    assert main([*tiny_run, "--executor", "json:loads", "--out", str(tmp_path / "out")]) == 4
    assert "executor 'json:loads' is <function loads" in capsys.readouterr().err
    assert main([*tiny_run, "--executor", "rai", "--out", str(tmp_path / "out")]) == 4
    assert "unknown executor 'rai'; did you mean 'ray'?" in capsys.readouterr().err
    assert main([*tiny_run, "--workers", "2", "--out", str(tmp_path / "out")]) == 4
    assert "--workers 2 is nothing for executor local" in capsys.readouterr().err
