"""`nharness check`, on detectors that nobody installed."""

import sys
from pathlib import Path

import pytest

from nharness.cli.main import main

PLUGIN = Path(__file__).resolve().parents[2] / "plugin_package" / "nharness_top_mean" / "__init__.py"


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    (tmp_path / "lying_here.py").write_text(PLUGIN.read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield
    sys.modules.pop("lying_here", None)


def test_a_module_of_the_working_directory(in_folder, capsys):
    assert main(["check", "lying_here:TopMean"]) == 0
    assert "FAILED" not in capsys.readouterr().out


def test_what_cannot_be_loaded_is_a_usage_error(in_folder, capsys):
    assert main(["check", "lying_here:Nobody"]) == 4
    assert main(["check", "lapee"]) == 4
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "did you mean 'lape'" in printed.err
