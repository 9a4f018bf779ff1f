"""The published results: every record valid to the last recomputed number, and the README's table theirs."""

import copy
import json
import re
import tomllib
from pathlib import Path

import pytest

from narrowing import present
from nharness.cli.main import main
from nharness.plugins import Plugins
from nharness.record.consistency import inconsistencies
from nharness.record.model import Record
from nharness.record.results import CurvePoint
from nharness_leaderboard import verdicts
from nharness_leaderboard.curves import with_points
from nharness_leaderboard.table import BEGIN, END, board_table

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "leaderboard" / "results"
STUDIES = ROOT / "tasks" / "nharness_tasks" / "studies"
FILES = sorted(RESULTS.glob("*/*/*/record.json"))
EVERY = [json.loads(path.read_text(encoding="utf-8")) for path in FILES]
RECORDS = [record for record in EVERY if record["identity"]["study"] is None]
"""Those of the board."""
OF_STUDIES = [record for record in EVERY if record["identity"]["study"] is not None]
SHIPPED = {name for name, entry in Plugins().entries("detectors").items() if entry.plugin == "detectors"}


def test_the_gate_takes_every_record_every_number_recomputed(tmp_path, capsys):
    comment = tmp_path / "comment.md"
    command = ["leaderboard", "check", "--results", str(RESULTS), "--comment", str(comment), "--reproduced"]
    assert main(command) == 0, capsys.readouterr().out
    assert comment.read_text().startswith(f"## Submission: ready\n\n### {len(FILES)} new record(s)\n")


def test_every_detector_is_there_on_babel_and_every_record_of_the_board_has_controls():
    assert {r["detector"]["name"] for r in RECORDS if r["model"]["name"] == "babel"} == SHIPPED
    assert all(r["controls"] and r["controls"]["draws"] and r["neurons"]["file"] for r in RECORDS)


def test_every_record_says_what_it_was_measured_on_and_how_to_make_it_again():
    """The checkpoint, the text and its sources, and a specification that `leaderboard reproduce` runs."""
    for record in EVERY:
        assert record["identity"]["specification"] is not None, record["identity"]["id"]
        assert record["identity"]["source"]["nharness"]["digest"], record["identity"]["id"]
        assert record["model"]["checkpoint"], record["identity"]["id"]
        splits = [each for each in record["corpus"]["splits"] if each["split"] == "eval"]
        assert splits, record["identity"]["id"]
        assert all(each["tokens"] and each["sources"] for each in splits), record["identity"]["id"]


def test_a_model_of_the_board_is_ranked_by_ladders():
    assert all(r["headline"] is not None for r in RECORDS)


def test_no_path_of_a_machine_is_published():
    texts = [path.read_text(encoding="utf-8") for path in FILES]
    assert not [text for text in texts if re.search(r'"[^"]*/(?:home|root|tmp|work)/', text)]


def test_the_table_of_the_readme_is_that_of_the_records():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    held = text.partition(BEGIN)[2].partition(END)[0]
    assert held.strip() == board_table(RESULTS).strip(), "run: nharness leaderboard table --write README.md"


def test_the_table_of_verdicts_in_the_readme_is_that_of_the_records():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    held = text.partition(verdicts.BEGIN)[2].partition(verdicts.END)[0]
    table = verdicts.verdict_table(verdicts.verdicts_of(RESULTS))
    assert held.strip() == table.strip(), "run: nharness leaderboard verdicts --write README.md"


def test_the_small_study_of_every_paper_is_published_and_decides_something():
    published = {record["identity"]["study"]["name"]: record["identity"]["study"]["text"] for record in OF_STUDIES}
    texts = [file.read_text(encoding="utf-8") for file in STUDIES.rglob("*.toml")]
    shipped = {tomllib.loads(text)["study"]["name"]: text for text in texts}
    assert published == {name: shipped[name] for name in published}
    assert {f"{file.parent.name} small" for file in STUDIES.glob("*/small.toml")} <= set(published)
    for study in verdicts.verdicts_of(RESULTS):
        assert all(claim.over_all is not None for claim in study.verdicts), study.name


def test_every_record_of_babel_has_a_headline_and_repeats_where_detection_can_be_repeated():
    headlines = {r["detector"]["name"]: r["headline"] for r in RECORDS if r["model"]["name"] == "babel"}
    assert set(headlines) == SHIPPED
    assert {name for name, headline in headlines.items() if headline["repeats"] == 0} == {"exhaustive", "random"}
    assert headlines["random"]["estimate"]["value"] == 0


def test_points_of_a_curve_are_those_of_the_records_at_their_doses():
    document = next(r for r in RECORDS if r["detector"]["name"] == "random" and r["model"]["name"] == "babel")
    first = Record.model_validate(document)
    harms = {name: getattr(first.summary[0], name) for name in ("on_target", "off_target", "selectivity")}
    points = tuple(
        CurvePoint(task="ppl", axis="budget", value=value, neurons=134, **harms)
        for value in (0.01, first.selection.budget)
    )
    second = first.model_copy(update={"selection": first.selection.model_copy(update={"budget": 0.01})}).with_id()
    own = first.model_copy(update={"curve": points}).with_id()
    lie = points[0].model_copy(update={"selectivity": present(points[0].selectivity).model_copy(update={"value": 9.0})})
    forged = own.model_copy(update={"curve": (lie, points[1])}).with_id()
    assert with_points(forged, [second, forged]) == own
    assert with_points(forged, [forged]).curve[0] == lie  # nobody else says what it was
    assert with_points(own, [own, second]) is own


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda r: r["repeats"]["parts"].pop(), "/headline/repeats"),
        (lambda r: r["repeats"]["parts"][1]["neurons"].update(xx=3), "/repeats/parts/1"),
    ],
)
def test_repeats_that_a_headline_counts_are_told(change, where):
    named = (r for r in RECORDS if (r["model"]["name"], r["detector"]["name"]) == ("babel", "lape"))
    document = copy.deepcopy(next(named))
    assert not list(inconsistencies(Record.model_validate(document), document))
    change(document)
    found = list(inconsistencies(Record.model_validate(document), document))
    assert where in {problem.pointer for problem in found}
