"""docs/plugins.md: every example is written down as it stands there, its commands run, and `mypy --strict` passes on it."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import nharness
from nharness.cli.main import main
from nharness.models import locate
from nharness.plugins import KINDS
from nharness.testing.tiny import tiny_model

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (An? .*?|What happens in a run)\n(.*?)(?=^## )", PAGE, re.MULTILINE | re.DOTALL))
PYTHON = dict(re.findall(r"^```python\n# (\w+)\.py\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
SMALL = """
languages = ["en", "de"]
detect-tokens = 2000
eval-tokens = 500
controls = 0
tasks = "ppl"
"""


def files(section):
    """Yield the files of a section: Python by its first line, others by the path in the line above them."""
    for name, text in re.findall(r"^```python\n# (\w+)\.py\n(.*?)^```", section, re.MULTILINE | re.DOTALL):
        yield f"{name}.py", text
    for name, text in re.findall(r"`([\w/]+\.\w+)`:\n\n```\w+\n(.*?)^```", section, re.MULTILINE | re.DOTALL):
        yield name, text


def commands(section):
    for block in re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL):
        yield from (shlex.split(line, comments=True)[1:] for line in block.splitlines())


def test_every_kind_of_plugin_has_an_example():
    registered = set(re.findall(r"def nharness_register_(\w+)\(", "".join(PYTHON.values())))
    assert registered == set(KINDS) - {"task_runners"}
    assert "def nharness_summary(" in "".join(PYTHON.values())
    assert len(SECTIONS) == 12


def test_the_examples_import_nothing_that_is_private():
    for name, text in PYTHON.items():
        for module, names in re.findall(r"^from (nharness[\w.]*) import (.*)$", text, re.MULTILINE):
            assert module in {"nharness", "nharness.testing"}, name
            public = nharness.__all__ if module == "nharness" else nharness.testing.__all__
            assert set(names.split(", ")) <= set(public), name


@pytest.mark.parametrize("title", SECTIONS)
def test_the_example_runs_as_it_stands(title, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    (tmp_path / "nharness.toml").write_text(SMALL)
    for name, text in files(SECTIONS[title]):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
        monkeypatch.delitem(sys.modules, Path(name).stem, raising=False)  # another page's, of the same name
    lines = list(commands(SECTIONS[title]))
    assert lines
    for argv in lines:
        code = main(argv)
        printed = capsys.readouterr()
        assert code == 0, (argv, printed.out, printed.err)
        if title == "What happens in a run":
            assert re.search(r"lape: (en|de) off costs (en|de) [+-]0\.\d{4}", printed.out)
        if title == "A claim":
            assert "claim holds: mild" in printed.out + printed.err


def test_the_neurons_written_down_are_those_that_are_found():
    names = {}
    exec(compile(PYTHON["by_hand"], "by_hand", "exec"), names)
    model = tiny_model("llama")
    written, found = names["llama"](model), locate(model)
    assert written.layer_widths == found.layer_widths
    assert [layer.modules for layer in written.layers] == [layer.modules for layer in found.layers]
    assert names["llama"](tiny_model("gpt2")) is None


@pytest.mark.slow
def test_the_examples_are_typed(tmp_path):
    for name, text in PYTHON.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--cache-dir",
            str(tmp_path / "cache"),
            *sorted(f"{name}.py" for name in PYTHON),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=580,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_public_is_held():
    """Whoever takes a name away, or adds one, changes the contract: say so in the changelog."""
    assert list(nharness.__all__) == sorted(nharness.__all__)
    assert set(nharness.__all__) == PUBLIC
    assert set(dir(nharness)) >= PUBLIC
    for name in PUBLIC:
        assert getattr(nharness, name) is not None
    with pytest.raises(AttributeError, match="module 'nharness' has no attribute 'Plugins'"):
        nharness.Plugins  # noqa: B018


def test_importing_costs_nothing():
    probe = "import sys, time; t = time.perf_counter(); import nharness; print(time.perf_counter() - t, len([m for m in ('torch', 'numpy', 'pydantic') if m in sys.modules]))"
    seconds, heavy = min(
        tuple(map(float, subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True).stdout.split()))
        for _ in range(3)
    )
    assert heavy == 0
    assert seconds < 0.1


PUBLIC = {
    "Accumulator",
    "Activations",
    "AnyChange",
    "Bench",
    "Cell",
    "CellOutcome",
    "Change",
    "Claim",
    "CodedFamily",
    "Corpus",
    "Detection",
    "Detector",
    "DetectorOptions",
    "Document",
    "DownProjection",
    "Entry",
    "Evidence",
    "Executor",
    "Finding",
    "Intervention",
    "InterventionOptions",
    "Item",
    "KnownModel",
    "LanguageTotals",
    "LayerNeurons",
    "LocalExecutor",
    "Matrix",
    "Measured",
    "Measuring",
    "ModelSource",
    "ModuleTap",
    "NamedClaim",
    "Need",
    "NeuronMap",
    "NharnessError",
    "Printed",
    "Product",
    "Record",
    "Results",
    "RunSpec",
    "Seen",
    "Segment",
    "Shard",
    "Statistics",
    "Target",
    "TaskFamily",
    "TaskRunner",
    "TaskSpec",
    "Truth",
    "UsageError",
    "ValueChange",
    "Work",
    "__version__",
    "apply",
    "check_claims",
    "command",
    "compare",
    "detect",
    "evaluate",
    "export",
    "hookimpl",
    "load_detection",
    "load_record",
    "load_statistics",
    "locate",
    "run",
    "site_name",
    "site_of",
}
