"""Help for a command, examples that parse, a shell that completes, a doctor that advises, settings from above."""

import argparse
import importlib
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from nharness.cli import doctor, options, settings
from nharness.cli.examples import EXAMPLES
from nharness.cli.main import COMMANDS, main

ROOT = Path(__file__).resolve().parents[3]


def printed(capsys, *argv):
    with pytest.raises(SystemExit) as stopped:
        main(list(argv))
    assert stopped.value.code == 0
    return capsys.readouterr().out


def test_help_of_a_command_is_its_help(capsys):
    assert printed(capsys, "help", "detect") == printed(capsys, "detect", "--help")
    assert main(["help"]) == 0
    assert "nharness help COMMAND explains one command" in capsys.readouterr().out
    assert main(["help", "detct"]) == 4
    assert "did you mean 'detect'?" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_examples_that_parse(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    told = printed(capsys, name, "--help")
    assert "Examples:\n" in told
    parser = argparse.ArgumentParser(exit_on_error=False)
    importlib.import_module(COMMANDS[name][0]).add_arguments(parser)
    for line in EXAMPLES[name]:
        assert f"  {line}\n" in told
        program, command, *rest = shlex.split(line.partition(" > ")[0])
        assert (program, command) == ("nharness", name)
        arguments = parser.parse_intermixed_args(rest)
        settings.build_spec(options.given(arguments))
    assert set(EXAMPLES) >= set(COMMANDS)


COMPLETE = """
source {script}
for line in "r" "run --detector la" "run --det" "run --kinds s" "list det" "help val" "leaderboard b" "run --scope "; do
  COMP_WORDS=(nharness $line)
  [[ "$line" == *" " ]] && COMP_WORDS+=("")
  COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
  _nharness
  echo "${{COMPREPLY[@]}}"
done
"""


def test_bash_completes_commands_options_and_names(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    done = subprocess.run(
        ["bash", "-c", COMPLETE.format(script="./script")], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "run record report",
        "lap lape lave",
        "--detector --detect-tokens",
        "specific",
        "detectors",
        "validate",
        "build",
        "all generation",
    ]
    assert main(["completion", "fish"]) == 0
    fish = capsys.readouterr().out
    assert "complete -c nharness -n '__fish_seen_subcommand_from run' -l scope -x -a 'all generation' -d " in fish
    assert main(["completion", "zsh"]) == 0
    assert capsys.readouterr().out.startswith("autoload -Uz bashcompinit")


def test_the_doctor_says_what_would_break_and_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "999")
    assert main(["doctor", "--json"]) == 0
    found = {row["what"]: row for row in json.loads(capsys.readouterr().out)}
    assert {"python", "nharness", "torch", "device", "cores", "memory", "plug-in detectors", "settings", "hub"} <= set(
        found
    )
    assert found["cores"]["verdict"] == "note"
    assert "OMP_NUM_THREADS=" in found["cores"]["advice"]
    assert found["hub"]["advice"]
    real = doctor.version
    monkeypatch.setattr(doctor, "version", lambda name: "1.0" if name == "torch" else real(name))
    (tmp_path / "nharness.toml").write_text("sed = 1\n")
    assert main(["doctor"]) == 1
    told = capsys.readouterr().out
    assert "torch\t1.0\tBREAKS\tpip install 'torch>=2.6'" in told
    assert "settings\tnharness.toml:1: unknown setting 'sed'; did you mean 'seed'?\tBREAKS" in told
    assert "2 of these would break a run" in told


def test_settings_are_found_from_a_subfolder_and_their_paths_are_the_files(tmp_path, monkeypatch):
    inner = tmp_path / "inner" / "most"
    inner.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.nharness]\ncorpus = "./texts"\nmodel = "babel"\ndetector = ["file:./n.safetensors", "lape"]\n'
    )
    (tmp_path / "inner" / "pyproject.toml").write_text('[project]\nname = "says nothing of nharness"\n')
    found, name = settings.configured(inner)
    assert name == "../../pyproject.toml"
    assert found["corpus"] == "../../texts"
    assert found["model"] == "babel"
    assert [each["name"] for each in found["detector"]] == ["file:../../n.safetensors", "lape"]
    (inner / "nharness.toml").write_text('corpus = "./here"\n')
    assert settings.configured(inner) == ({"corpus": "./here"}, "nharness.toml")


def test_a_reader_that_has_gone_is_no_fault():
    """`nharness report RECORD | head -1`: what is not read any more is not complained about."""
    record = next((ROOT / "leaderboard" / "results" / "babel" / "random").iterdir())
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "nharness", "report", str(record)]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
