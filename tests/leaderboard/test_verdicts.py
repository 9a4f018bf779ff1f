"""Verdicts on papers' findings follow from the records of a study, and are on the site, in a table, in one document."""

import hashlib
import json
import shutil

import pytest

from narrowing import present
from nharness.cli.main import main
from nharness.record.sources import Study
from nharness_leaderboard.results import place, read_results
from nharness_leaderboard.site.build import build_site
from nharness_leaderboard.site.shown import shown_sets
from nharness_leaderboard.verdicts import BEGIN, END, of_a_study, study_verdicts, verdict_table, verdicts_of
from synthetic_runs import synthetic_run

TEXT = """[study]
name = "plnd-neurips2024 small"
models = ["synthetic/second", { name = "synthetic/first" }]
findings = ["own-language-most", "steering-moves-target", "of-a-plug-in-that-is-not-here"]
"""


def study(text=TEXT, name="plnd-neurips2024 small"):
    return Study(name=name, text=text, digest=hashlib.sha256(text.encode()).hexdigest())


def publish(root, results, *, told=None, **changes):
    """Put a record of a synthetic run into the results folder, as one of a study where that is given."""
    made = synthetic_run(root / "new", documents=44, detector="synthetic-plnd", **changes)
    record = made.model_copy(update={"identity": made.identity.model_copy(update={"study": told})}).with_id()
    (root / "new" / "record.json").write_text(json.dumps(record.document()))
    (results / place(record)).parent.mkdir(parents=True, exist_ok=True)
    shutil.move(root / "new", results / place(record))
    return record


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A study on two models, of which one has no effect, its earlier text on one, and a record of no study."""
    root = tmp_path_factory.mktemp("verdicts")
    folder = root / "results"
    publish(root, folder, told=study(), seed=1, strength=0.5, model_name="synthetic/first")
    publish(root, folder, told=study(), seed=2, strength=0.0, model_name="synthetic/second")
    earlier = study(TEXT + "seed = 3\n")
    old = publish(root, folder, told=earlier, seed=3, strength=0.5, model_name="synthetic/old")
    assert old.identity.created
    publish(root, folder, seed=4, strength=0.5, model_name="synthetic/first")
    return folder


def test_every_finding_is_told_over_all_records_and_on_each_model(results):
    entries = read_results(results).entries
    later = [e for e in entries if e.record.model.name != "synthetic/old"]
    (found,) = study_verdicts(later)
    assert found.command == "nharness run --study plnd-neurips2024 --variant small"
    assert found.models == ("synthetic/second", "synthetic/first")  # in the study's order
    assert [each.claim for each in found.verdicts] == ["own-language-most", "steering-moves-target"]
    own, steering = found.verdicts
    first, second = own.by_model["synthetic/first"], own.by_model["synthetic/second"]
    assert first.verdict == "holds"
    assert second.verdict != "holds"
    assert own.over_all is not None
    assert own.over_all.verdict == second.verdict
    assert own.models("holds") == ["synthetic/first"]
    record = next(e.record for e in later if e.record.model.name == "synthetic/first" and of_a_study(e.record))
    assert first.value == present(record.summary[0].selectivity).value
    assert first.interval == present(record.summary[0].selectivity).interval
    assert steering.over_all is None


def test_of_two_texts_of_one_study_one_is_told(results):
    (found,) = verdicts_of(results)
    assert found.models in (("synthetic/old",), ("synthetic/second", "synthetic/first"))


def test_the_table_has_a_row_a_claim_that_was_measured(results):
    entries = [e for e in read_results(results).entries if e.record.model.name != "synthetic/old"]
    lines = verdict_table(study_verdicts(entries)).splitlines()
    assert len(lines) == 3
    assert lines[2].startswith("| plnd-neurips2024 small | Deactivating a language's neurons harms that language")
    assert "| synthetic/first |" in lines[2]


def test_records_of_a_study_are_on_its_page_and_not_on_the_board(results, tmp_path):
    entries = read_results(results).entries
    assert [each.model.model.name for each in shown_sets(entries)] == ["synthetic/first"]
    built = build_site(results, tmp_path / "site")
    assert built.refused == {}
    overview = (tmp_path / "site" / "findings" / "index.html").read_text(encoding="utf-8")
    assert 'href="plnd-neurips2024-small.html"' in overview
    page = (tmp_path / "site" / "findings" / "plnd-neurips2024-small.html").read_text(encoding="utf-8")
    assert "nharness run --study plnd-neurips2024 --variant small" in page
    assert "selectivity above 0 in every record" in page
    assert "not measured" in page
    told = json.loads((tmp_path / "site" / "data" / "verdicts.json").read_text(encoding="utf-8"))
    assert told["format"] == "nharness-verdicts/1"
    assert [each["name"] for each in told["studies"]] == ["plnd-neurips2024 small"]


@pytest.mark.parametrize(
    "text",
    [
        "not TOML",
        "study = 3",
        "[study]\nfindings = 7",
        "[study]\nfindings = [7]",
        "[study]\nmodels = 7\nkinds = 3\nfindings = ['own-language-most']",
        "a = " + "[" * 9000,
    ],
)
def test_whatever_a_published_study_says_the_verdicts_are_made(text, tmp_path):
    publish(tmp_path, tmp_path / "results", told=study(text, "<b>|mine"), seed=5)
    found = verdicts_of(tmp_path / "results")
    assert len(found) == int("own-language" in text)
    assert "<b>/mine" in verdict_table(found) or not found


def test_the_command_prints_the_table_or_writes_it_between_its_marks(results, tmp_path, capsys):
    page = tmp_path / "README.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert main(["leaderboard", "verdicts", "--results", str(results), "--write", str(page)]) == 0
    assert main(["leaderboard", "verdicts", "--results", str(results)]) == 0
    table = capsys.readouterr().out
    assert page.read_text() == f"before\n{BEGIN}\n\n{table}\n{END}\nafter\n"
    page.write_text("no marks")
    assert main(["leaderboard", "verdicts", "--results", str(results), "--write", str(page)]) == 4
    assert "has no place for the table" in capsys.readouterr().err
