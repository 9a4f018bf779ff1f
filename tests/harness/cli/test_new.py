"""`nharness new`: what it writes is whole, loads, and runs as it is."""

import re
import shlex
import subprocess
import sys
import tomllib

import pytest

from nharness.cli.main import main

SMALL = "languages = ['en', 'de']\ndetect-tokens = 2000\neval-tokens = 300\ncontrols = 0\n"


@pytest.mark.parametrize("kind", ["detector", "intervention", "statistic", "task", "claim", "study"])
def test_a_project_passes_its_own_tests_and_its_command_runs(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["new", kind, f"my-{kind}"]) == 0
    told = capsys.readouterr().out.splitlines()[-1]
    (trying,) = re.findall(r"&& nharness (.*)$", told)
    folder = tmp_path / f"nharness-my-{kind}"
    (steps,) = re.findall(r"```sh\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert steps.splitlines() == [
        "pip install --editable . mypy pytest",
        "pytest",
        f"mypy nharness_my_{kind}",
        f"nharness {trying}",
    ]
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    (module,) = project["entry-points"]["nharness"].values()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.syspath_prepend(str(folder))
    (tmp_path / "nharness.toml").write_text(SMALL)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    command, *rest = shlex.split(trying)
    assert main([command, "-p", module, *rest]) == 0
    assert main(["new", kind, f"my-{kind}"]) == 4
    assert "already exists; choose another name, or another --out" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["My", "my_method", "1x", "a--b", "-x", "../x", ""])
def test_a_name_that_is_none_says_what_one_is(name, capsys):
    assert main(["new", "detector", "--", name]) == 4
    assert "expected lower-case letters, digits and single dashes" in capsys.readouterr().err
