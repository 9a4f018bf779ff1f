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


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("version", "x" * 300, "a text of at most 200 characters, none of them a control character"),
        ("version", "1\t2", "a text of at most 200 characters, none of them a control character"),
        ("name", "a b/c", "letters, digits and any of _.:+- (at most 100)"),
    ],
)
def test_what_no_record_can_name_is_refused_before_anything_runs(in_folder, capsys, field, value, expected):
    with Path("lying_here.py").open("a") as module:
        module.write(f"\n\nclass Other(TopMean):\n    {field} = {value!r}\n")
    for command in ("check lying_here:Other", "run --detector lying_here:Other --collect-only"):
        assert main(command.split()) == 4
        told = capsys.readouterr().err
        assert f"'lying_here:Other' has the {field} " in told
        assert told.endswith(f"; expected {expected}\n")


LAMBDA = """
from nharness import Intervention, ValueChange


class Clip(Intervention):
    name = "mine"

    def changes(self, target, evidence):
        return (ValueChange("hidden", target.flat, lambda values: values.clamp(-1, 1)),)
"""


def test_one_fault_that_fails_many_checks_is_told_once(tmp_path, monkeypatch, capsys):
    (tmp_path / "clipping.py").write_text(LAMBDA)
    monkeypatch.chdir(tmp_path)
    assert main(["check", "clipping:Clip"]) == 1
    told = capsys.readouterr().out
    sys.modules.pop("clipping", None)
    assert told.count("expected one defined at the top of a module") == 2  # by the first, and for general neurons
    assert "needs() declares" not in told
    assert told.count("as 'declared needs suffice'") == 10
