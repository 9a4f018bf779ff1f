"""pytest's side, in processes of its own: what is collected, chosen, failed, reported, and what it costs others."""

import json
import os
import re
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest

from narrowing import present

pytestmark = pytest.mark.slow
STUDY = """[study]
name = "two"
languages = ["en", "de"]
detectors = [{name = "lape", options = {top_rate = 0.02}}]
controls = {draws = 1, least = 1, eval_tokens = 200}
corpora = [{name = "sample", detect_tokens = 2000, eval_tokens = 400}]
claims = ["ppl.selectivity > 9", "ppl.selectivity > -9"]
"""
RUN = "study.toml::01-babel-sample::"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pytest")
    (folder / "study.toml").write_text(STUDY)
    (folder / "other.toml").write_text("[tool]\n")
    (folder / "test_mine.py").write_text(MINE)
    (folder / "pytest.ini").write_text("[pytest]\n")
    return folder


MINE = """
import pytest

def test_its_own_neurons_matter(nharness):
    result = nharness.run(detector="lape", languages=["en", "de"], detect_tokens=2000, eval_tokens=400, controls=0, tasks="ppl")
    nharness.hold(result, "ppl.selectivity > -9")
    with pytest.raises(AssertionError, match="claim FAILS: lape ppl: ppl.selectivity > 9"):
        nharness.hold(result, "ppl.selectivity > 9")
    again = nharness.run(detector="lape", languages=["en", "de"], detect_tokens=2000, eval_tokens=400, controls=0, tasks="ppl")
    assert again.records[0].identity.id == result.records[0].identity.id
"""


def run(place, *argv, **more):
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:timeout", *argv],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, "NHARNESS_MALLOC": "0", **more},
    )


def test_items_are_cells_and_claims(place):
    done = run(place, "--collect-only", "-q", "study.toml")
    cells = [f"lape[{target}]/zero::ppl[{tag}]" for target in ("en", "de") for tag in ("en", "de")]
    names = [
        "baseline::ppl[en]",
        "baseline::ppl[de]",
        *cells,
        "claim: ppl.selectivity > 9",
        "claim: ppl.selectivity > -9",
    ]
    assert [line for line in done.stdout.splitlines() if "::" in line] == [RUN + name for name in names]


def test_nothing_is_collected_unless_asked(place):
    for argv, found in (((), False), (("--nharness",), True), (("other.toml",), False)):
        printed = run(place, "--collect-only", "-q", *argv).stdout
        assert ("study.toml::" in printed) == found, argv
        assert "other.toml::" not in printed


def test_what_is_selected_is_run_and_what_failed_runs_again(place):
    done = run(place, "study.toml", "-v", "--junitxml", "out.xml", "--nharness-out", "kept")
    assert "7 passed" in done.stdout
    assert "1 failed" in done.stdout
    assert "claim FAILS: lape ppl: ppl.selectivity > 9" in done.stdout
    assert "Traceback" not in done.stdout
    cases = ET.parse(place / "out.xml").iter("testcase")
    by_name = {case.get("name"): case for case in cases}
    assert len(by_name) == 8
    assert by_name["claim: ppl.selectivity > 9"].find("failure") is not None
    tokens = {p.get("name"): p.get("value") for p in by_name["lape[de]/zero::ppl[en]"].iter("property")}
    assert int(present(tokens["tokens"])) > 0
    (record,) = (place / "kept").rglob("record.json")
    assert len(json.loads(record.read_text())["cells"]) == 4
    again = run(place, "study.toml", "--lf", "--nharness-out", "kept")
    assert "1 failed" in again.stdout
    assert "passed" not in again.stdout.splitlines()[-1]
    stopped = run(place, "study.toml", "-x", "--nharness-out", "kept")
    assert "1 failed, 6 passed" in stopped.stdout  # the claim behind the one that fails is not held


def test_one_cell_by_name_and_by_expression(place):
    done = run(place, "study.toml", "-k", "lape[de] and ppl[en]", "--nharness-out", "some")
    assert re.search(r"1 passed, 7 deselected", done.stdout), done.stdout
    (record,) = (place / "some").rglob("record.json")
    cells = json.loads(record.read_text())["cells"]
    assert [(cell["target"], cell["language"]) for cell in cells if cell["status"] == "ok"] == [("de", "en")]
    done = run(place, f"{RUN}lape[de]/zero::ppl[en]", "--nharness-out", "some")
    assert "1 passed" in done.stdout, done.stdout


def test_processes_share_what_they_compute(place):
    done = run(place, "study.toml", "-n", "2", "-q", "--nharness-out", "shared")
    assert "1 failed, 7 passed" in done.stdout, done.stdout


def test_a_study_with_a_slip_is_told_in_one_sentence(place):
    (place / "bad.toml").write_text(STUDY.replace("lape", "lap_e"))
    done = run(place, "bad.toml")
    assert "unknown detector 'lap_e'; did you mean 'lape'?" in done.stdout
    assert "Traceback" not in done.stdout
    (place / "bad.toml").unlink()


def test_the_fixture_runs_and_holds(place):
    done = run(place, "test_mine.py", "-q")
    assert "1 passed" in done.stdout, done.stdout


def test_it_costs_others_nothing(place):
    (place / "test_unrelated.py").write_text(
        "import sys\n\ndef test_it():\n    mine = {m for m in sys.modules if m.partition('.')[0].startswith('nharness')}\n"
        "    assert mine == {'nharness', 'nharness.pytest_plugin'}\n"
        "    assert not {'numpy', 'torch', 'pydantic'} & set(sys.modules)\n"
    )
    others = ("-p", "no:jaxtyping", "-p", "no:typeguard")  # plug-ins of other distributions, which import numpy
    done = run(place, "test_unrelated.py", "-q", *others)
    assert "1 passed" in done.stdout, done.stdout
