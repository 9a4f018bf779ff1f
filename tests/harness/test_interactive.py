"""`nharness.run` and what it gives, against the command line and the records that were written."""

import inspect
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nharness
from nharness.cli.main import main
from nharness.cli.options import ALL, OWN_OPTIONS, TABLE_OF_TEXT
from nharness.errors import OptionError, UnknownNameError, UsageError
from nharness.interactive.settings import Settings
from nharness.ranges import schema_at
from nharness.spec import RunSpec
from small_run import SMALL

ROOT = Path(__file__).resolve().parents[2]


def record(statistics, out):
    """Record statistics of what `SMALL` detects on."""
    argv = ["--languages", "en,de", "--detect-tokens", "2000", "--statistics", statistics, "--out", str(out)]
    assert main(["record", *argv]) == 0


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("python")


@pytest.fixture(scope="module")
def result(place):
    return nharness.run(
        detector=["lape", "lap"], option={"lape.top_rate": 0.02}, claim="selectivity > -9", out=place / "run", **SMALL
    )


@pytest.fixture(scope="module")
def study(place):
    (place / "study.toml").write_text(
        "[study]\nname = 'one'\nlanguages = ['en', 'de']\ncontrols = {draws = 0}\nclaims = ['ppl.selectivity > 99']\n"
        "corpora = [{name = 'sample', detect_tokens = 2000, eval_tokens = 600}]\n"
    )
    return place / "study.toml"


def test_it_does_what_the_command_does(result, place, capsys):
    argv = [
        "--languages",
        "en,de",
        "--detect-tokens",
        "2000",
        "--eval-tokens",
        "600",
        "--controls",
        "0",
        "--tasks",
        "ppl",
    ]
    argv += ["--detector", "lape,lap", "--option", "lape.top_rate=0.02", "--claim", "selectivity > -9"]
    argv += ["--out", str(place / "command"), "--store", str(place / "run" / "store")]
    assert main(["run", *argv]) == result.exit_code == 0
    assert f"({3 * 4 - 2} reused)" in capsys.readouterr().out
    for path, record in result.paths.items():
        other = json.loads((place / "command" / path.relative_to(place / "run")).read_text())
        assert [cell.change for cell in record.cells] == [cell["change"] for cell in other["cells"]]
        assert other["identity"]["id"] == record.identity.id


def test_matrices_are_the_records_cells(result):
    matrix = result.matrix("ppl", detector="lape")
    record = result.records[0]
    assert (matrix.targets, matrix.languages, matrix.unit) == (("en", "de"), ("en", "de"), "bits per byte")
    for cell in record.cells:
        place = matrix.targets.index(cell.target), matrix.languages.index(cell.language)
        assert matrix.values[place] == cell.change
        assert (matrix.low[place], matrix.high[place]) == cell.interval
    assert not matrix.marked.any()  # no random neurons were drawn
    assert matrix.rows()[1]["target"] == "de"
    html = matrix._repr_html_()
    assert html.count("<td title=") == 4
    assert f"{matrix.values[0, 0]:+.4f}" in html
    assert html in record._repr_html_()
    assert record._repr_html_() in result._repr_html_()
    assert "claim holds: lape ppl: selectivity &gt; -9" in result._repr_html_()


def test_frames_have_every_cell(result, monkeypatch):
    frame = result.frame()
    assert list(frame["detector"]) == ["lape"] * 4 + ["lap"] * 4
    assert list(frame["change"]) == [cell.change for record in result.records for cell in record.cells]
    monkeypatch.setattr("nharness.interactive.results.find_spec", lambda _: None)
    plain = result.frame()
    assert isinstance(plain, dict)
    assert plain["change"] == list(frame["change"])
    with pytest.raises(UsageError, match=re.escape("pip install 'nharness[charts]'")):
        result.plot("ppl", detector="lape")


def test_a_chart_is_altairs(result):
    import altair as alt

    chart = result.plot("ppl", detector="lap")
    assert isinstance(chart, alt.TopLevelMixin)
    assert {row["harm"] for rows in chart.to_dict()["datasets"].values() for row in rows} == {
        cell.change for cell in result.records[1].cells
    }


def test_what_is_asked_wrongly_is_said(result):
    for call, error, match in (
        (
            lambda: result.matrix("ppl"),
            UsageError,
            "2 records fit; choose one by detector=.*: lape/zero on babel, lap/zero",
        ),
        (
            lambda: result.matrix("pp", detector="lap"),
            UnknownNameError,
            "unknown task of this record 'pp'; did you mean 'ppl'",
        ),
        (
            lambda: result.matrix("ppl", detectr="lap"),
            UsageError,
            "chosen by detector, intervention or model; got 'detectr'",
        ),
        (
            lambda: nharness.run(detectr="lape"),  # type: ignore[call-arg]
            UsageError,
            "nharness.run: unknown setting 'detectr'; did you mean 'detector'",
        ),
        (
            lambda: nharness.run(eval_tokens=0),
            OptionError,
            "nharness.run: --eval-tokens is 0; expected a whole number at least 1",
        ),
        (
            lambda: nharness.run("study.toml", seed=1),
            UsageError,
            "study.toml specifies the whole run; leave out seed",
        ),
        (lambda: nharness.detect([], "lap_e"), UnknownNameError, "did you mean 'lape'"),
    ):
        with pytest.raises(error, match=match):
            call()


def test_what_was_written_is_read_again(result, place):
    path, record = next(iter(result.paths.items()))
    assert nharness.load_record(path) == nharness.load_record(str(path.parent)) == record
    with pytest.raises(UsageError, match="holds 2 records; name one of them"):
        nharness.load_record(place / "run")
    detection = nharness.load_detection(path.parent)
    assert {tag: len(detection.flat(tag)) for tag in detection.languages} == record.neurons.per_language
    assert f"<th>de</th><td>{len(detection.flat('de'))}</td>" in detection._repr_html_()


def test_detection_is_the_runs_own(result, place):
    statistics = place / "gate.safetensors"
    record("activation_count", statistics)
    expected = nharness.load_detection(next(iter(result.paths)).parent)
    for given in (statistics, str(statistics), [nharness.load_statistics(statistics)]):
        found = nharness.detect(given, "lape", top_rate=0.02)
        assert np.array_equal(found.membership, expected.membership)
    assert nharness.detect(statistics, "lape", budget=0.001).membership.sum() < expected.membership.sum()


def test_a_class_of_the_notebook_and_a_study(place, study):
    found = nharness.run(study, out=place / "runs")
    assert (found.exit_code, [claim.verdict for claim in found.claims]) == (1, ["fails"])
    assert list(found.paths) == [place / "runs" / "01-babel-sample" / "records" / "lape-zero" / "record.json"]
    mine = nharness.run(detector=Mine, out=place / "mine", expression="not de", **SMALL)
    assert mine.records[0].detector.name == "mine"


class Mine(nharness.Detector):
    """Every neuron's score is how often it is active."""

    name = "mine"

    def needs(self):
        return (nharness.Need("activation_count"),)

    def detect(self, evidence):
        share = evidence.statistics("gate").activation_probability()
        return self.detection(evidence, membership=share > np.quantile(share, 0.99), score=share)


def test_settings_are_the_options_of_the_specification():
    assert list(Settings.__annotations__) == [option.name.replace("-", "_") for option in ALL]
    for option in ALL:
        annotation = Settings.__annotations__[option.name.replace("-", "_")]
        told = str(getattr(annotation, "__forward_arg__", annotation))
        assert ("bool" in told) == option.switch, option.name
        nullable = option.place not in (*OWN_OPTIONS, TABLE_OF_TEXT) and "null" in json.dumps(
            schema_at(RunSpec, option.place)
        )
        assert ("None" in told) == nullable, option.name


def test_the_page_runs(place, monkeypatch, study):
    monkeypatch.chdir(place)
    import nharness_tasks

    shutil.copytree(Path(nharness_tasks.__file__).parent / "babel" / "model", place / "my-model")
    record("activation_count,moments", "gate.safetensors")
    names = {}
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    for text in re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        exec(compile(text, "docs", "exec"), names)
    assert names["detection"].detector == "lape"


README_NAMES = (
    ("controls=5", "controls=0, detect_tokens=2000, eval_tokens=400, tasks='ppl', out='readme'"),
    ("FOLDER_OR_HUB_NAME", "FOLDER"),
    ("model.generate(...)", "model.generate(**prompt, max_new_tokens=2)"),
    ("layers[11]", "layers[1]"),
    ("(11, 42), (11, 107)", "(1, 42), (1, 107)"),
)
"""What stands for a reader's own in the README, or for a longer run, and what is tried here."""


def test_the_readme_runs(place, monkeypatch):
    """Its Python as it stands there, on babel; its detector in twenty lines finds neurons."""
    import torch

    import nharness_tasks

    monkeypatch.chdir(place)
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    calls, detector = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    for shown, meant in README_NAMES:
        assert shown in calls
        calls = calls.replace(shown, meant)
    calls = calls.replace(
        "\nmodel = ", "\nshutil.copy(next(iter(result.paths)).parent / 'neurons.safetensors', '.')\nmodel = "
    )
    argv = [
        "--languages",
        "en,de,zh",
        "--detect-tokens",
        "2000",
        "--statistics",
        "moments@hidden,activation_count@hidden",
    ]
    assert main(["record", *argv, "--out", "hidden.safetensors"]) == 0
    folder = Path(nharness_tasks.__file__).parent / "babel" / "model"
    names = {"FOLDER": folder, "shutil": shutil, "prompt": {"input_ids": torch.tensor([[5, 6, 7]])}}
    exec(compile(calls, "README", "exec"), names)
    result: Any = names["result"]
    assert result.matrix("ppl").values.shape == (3, 3)
    (place / "my_module.py").write_text(detector)
    monkeypatch.syspath_prepend(str(place))
    record("moments", "moments.safetensors")
    assert nharness.detect("moments.safetensors", "my_module:TopMean").membership.any()


def test_a_run_shows_itself_in_a_notebook(place):
    """Here there is none, and a terminal's bars; test_python_calls runs a real one."""
    from nharness.events import ignore
    from nharness.interactive.running import _shown

    with _shown(progress=False) as listen:
        assert listen is ignore
    with _shown(progress=True) as listen:
        assert listen is not ignore


def test_the_package_of_that_name_is_the_call():
    from nharness import run

    for each in (run, nharness.run):
        assert "Settings" in str(inspect.signature(each).parameters["settings"])
    probe = "import nharness; assert callable(nharness.run); import nharness.run.line as l; assert callable(nharness.run); l.run"
    subprocess.run([sys.executable, "-c", probe], check=True)
