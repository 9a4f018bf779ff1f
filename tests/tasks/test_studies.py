"""Studies that ship: every variant can be planned, names what is there, and prints its verdicts."""

import re
from pathlib import Path

import pytest

from nharness.cli.main import main
from nharness.plugins import Plugins
from nharness.run.plan.study import load_study

STUDIES = Path(__file__).resolve().parents[2] / "tasks" / "nharness_tasks" / "studies"
FILES = sorted(STUDIES.rglob("*.toml"))
DOCS = Path(__file__).resolve().parents[2] / "docs" / "studies.md"
PAPERS = sorted(folder.name for folder in STUDIES.iterdir() if folder.is_dir())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(STUDIES).as_posix())
def test_a_study_reads_and_names_claims_that_are_registered(file):
    study = load_study(file)
    assert study.runs
    assert set(study.findings) <= set(Plugins().entries("claims"))


def test_every_paper_has_both_variants_and_a_name():
    assert set(PAPERS) <= set(Plugins().entries("studies"))
    for name in PAPERS:
        assert {file.stem for file in (STUDIES / name).glob("*.toml")} == {"full", "small"}


@pytest.mark.parametrize("name", PAPERS)
def test_small_variants_are_planned_by_name(name, capsys):
    assert main(["plan", "--study", name, "--variant", "small", "-q"]) == 0
    assert "forward tokens" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--study", "lape-acl2025"], "did you mean 'lape-acl2024'?"),
        (["--study", "lape-acl2024", "--variant", "smal"], "has no variant 'smal'; did you mean 'small'?"),
        (["--study", "three-kinds", "--variant", "small"], "study three-kinds has no variants"),
        (["--study", "mine.toml", "--variant", "small"], "mine.toml is a file"),
    ],
)
def test_a_slip_is_answered(given, said, capsys):
    assert main(["plan", *given]) == 4
    assert said in capsys.readouterr().err


def test_a_finding_that_is_not_registered_is_named_before_anything_runs(tmp_path, capsys):
    (tmp_path / "s.toml").write_text('[study]\nfindings = ["own-language-mos"]\n')
    assert main(["plan", "--study", str(tmp_path / "s.toml")]) == 4
    assert "did you mean 'own-language-most'?" in capsys.readouterr().err


@pytest.mark.parametrize("name", PAPERS)
def test_full_variants_are_priced_without_a_download(name, capsys):
    """Wikipedia, MGSM and NTREX are not here: what that leaves unknown is said once, and the price stands."""
    assert main(["run", "--study", name, "--variant", "full", "--collect-only", "-q"]) == 0
    printed = capsys.readouterr()
    prices = [int(found.replace(",", "")) for found in re.findall(r"at most ([\d,]+) forward tokens", printed.out)]
    runs = len(load_study(STUDIES / name / "full.toml").runs)
    assert prices[:runs]
    assert prices[runs:] == ([sum(prices[:runs])] if runs > 1 else [])
    assert printed.err.count("priced without its text, whose languages and amount are not known here: corpus") == 1
    assert f"| {name} | {sum(prices[:runs]) / 1e6:.1f} |" in DOCS.read_text(encoding="utf-8")


def test_a_name_that_is_no_corpus_is_no_price(tmp_path, capsys):
    (tmp_path / "s.toml").write_text('[study]\nlanguages = ["en", "de"]\ncorpora = ["smaple"]\n')
    assert main(["plan", "--study", str(tmp_path / "s.toml")]) == 4
    assert "did you mean 'sample'" in capsys.readouterr().err
