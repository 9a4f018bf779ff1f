"""Ranks of records with ladders: who is ranked with whom, who is not and why, and what is kept between two builds."""

import json
import re

import numpy as np
import pytest

from narrowing import present
from nharness.analysis.headline import headline_of
from nharness.analysis.ladder_items import climbed_of, headline_again
from nharness.analysis.measurements import from_items
from nharness.analysis.ranking import resampled_from
from nharness.cli.main import main
from nharness.record.cautions import with_cautions
from nharness.record.items import read_items
from nharness.record.store import find
from nharness.record.validate import load_record
from nharness_leaderboard.deep import deep_problems
from nharness_leaderboard.ranks import CACHE, resampled_headlines, set_key, standings
from nharness_leaderboard.results import Entry
from nharness_leaderboard.table import BEGIN, END, board_table
from synthetic_records import synthetic_record
from synthetic_runs import SETTINGS, synthetic_run


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    """Three records of one text: two that keep nearly all, one that keeps half."""
    root = tmp_path_factory.mktemp("ranked") / "results"
    made = (("clean", 0.02, 1), ("cleaner", 0.02, 2), ("leaky", 0.5, 3))
    return [
        Entry(root / name, synthetic_run(root / name, seed=seed, documents=60, leak=leak, detector=name))
        for name, leak, seed in made
    ]


def test_records_of_one_text_are_ranked_by_what_they_keep(entries):
    found = standings(entries, resampled_headlines(entries))
    assert [present(found.of(entry.slug)).text for entry in entries] == [
        "1\N{EN DASH}2 of 3",
        "1\N{EN DASH}2 of 3",
        "3 of 3",
    ]
    value, low, high = present(found.difference(entries[0].slug, entries[2].slug))
    assert value == pytest.approx(
        entries[0].record.headline.estimate.value - entries[2].record.headline.estimate.value, abs=1e-9
    )
    assert 0 < low < value < high
    assert found.difference(entries[2].slug, entries[0].slug) == (-value, -high, -low)


def test_the_records_are_whole(entries):
    for entry in entries:
        record = load_record(entry.folder / "record.json", files=True)
        assert [p for p in deep_problems(record, entry.folder) if "headline" in p.pointer] == []


def test_one_budget_thin_text_and_altered_ladders_have_no_rank(entries, tmp_path):
    point = Entry(tmp_path, synthetic_record(seed=3))
    thin = Entry(tmp_path / "thin", synthetic_run(tmp_path / "thin", documents=24, leak=0.1))
    altered = Entry(tmp_path / "altered", synthetic_run(tmp_path / "altered", seed=1, documents=60, leak=0.02))
    path = altered.folder / present(find(altered.record.files, "ladder")).name
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        line["values"]["nll"] *= 1.02
    path.write_text("\n".join(map(json.dumps, lines)))
    found = standings([point, thin, altered, *entries], resampled_headlines([point, thin, altered, *entries]))
    reasons = [present(found.of(entry.slug)).reason for entry in (point, thin, altered)]
    assert present(reasons[0]).startswith("measured at one budget")
    assert reasons[1] == "a language was judged on 12 sources; a rank needs 20 in every one"
    assert present(reasons[2]).startswith("the items of its ladders are missing or do not give its headline")
    assert present(found.of(entries[0].slug)).of == 3


def test_of_several_records_of_one_detector_the_newest_is_ranked(entries, tmp_path):
    again = synthetic_run(tmp_path / "again", seed=9, documents=60, leak=0.3, detector="leaky")
    newer = again.model_copy(
        update={"identity": again.identity.model_copy(update={"created": "2026-12-01T00:00:00Z"})}
    ).with_id()
    everyone = [*entries, Entry(tmp_path / "again", newer)]
    found = standings(everyone, resampled_headlines(everyone))
    assert present(found.of(entries[2].slug)).reason == "a newer record of the same detector is ranked"
    assert present(found.of(newer.identity.id[:12])).text == "3 of 3"


def test_a_language_that_the_tokenizer_hardly_knows_is_out_of_the_headline_and_the_record_is_ranked(tmp_path):
    folder, languages = tmp_path / "run", ("en", "fr", "zh", "ja")
    known = synthetic_run(folder, languages=languages, documents=60, leak=0.3)
    splits = tuple(
        split.model_copy(update={"unknown_share": 0.84 if split.language == "ja" else 0.0})
        for split in known.corpus.splits
    )
    hardly = known.model_copy(update={"corpus": known.corpus.model_copy(update={"splits": splits})})
    measured = _measured(folder, hardly)
    headline = headline_again(hardly, hardly.headline, hardly.tasks[0], measured)
    others = climbed_of(
        [m for m in measured if "ja" not in (m.language, (m.target or "")[:2])], hardly.tasks[0], languages[:3]
    )
    alone = headline_of(others, SETTINGS, "ppl").languages
    assert {tag: headline.languages[tag] for tag in languages[:3]} == alone  # nor does it count among the others
    assert (headline.of, headline.languages["ja"].flags, headline.languages["ja"].kept) == (3, ("hardly_known",), None)
    assert present(headline.estimate).value == pytest.approx(np.mean([each.kept for each in alone.values()]))
    record = with_cautions(hardly.model_copy(update={"headline": headline}).with_id())
    assert any(
        "Japanese: the tokenizer does not know 84 %" in text and "leaves it out" in text for text in record.warnings
    )
    assert {p.pointer.rpartition("/")[2] for p in deep_problems(record, folder)} == {"flags"}  # of the cells, above
    entry = Entry(folder, record)
    assert present(standings([entry], resampled_headlines([entry])).of(entry.slug)).text == "1 of 1"
    same = Entry(folder, known)  # who says that the tokenizer knows it was judged on other text
    one, other = (present(resampled_headlines([each])[each.slug]) for each in (entry, same))
    assert one.text != other.text


def _measured(folder, record):
    items, ladder = (folder / present(find(record.files, role)).name for role in ("items", "ladder"))
    intact = [item for item in read_items(items) if item.target is None]
    return list(from_items([*intact, *read_items(ladder)]))


def test_other_models_are_another_set(entries):
    other = entries[0].record.model_copy(
        update={"model": entries[0].record.model.model_copy(update={"name": "synthetic/other"})}
    )
    assert set_key(other) != set_key(entries[0].record) == set_key(entries[2].record)


def test_draws_are_kept_beside_the_results_and_made_again_where_damaged(entries):
    results = entries[0].folder.parent
    first = resampled_headlines(entries, results)
    kept = sorted((results.parent / CACHE).glob("*.npz"))
    assert len(kept) == len(entries)
    again = resampled_headlines(entries, results)
    kept[0].write_bytes(b"torn")
    repaired = resampled_headlines(entries, results)
    for entry in entries:
        own = present(resampled_from(entry.record, entry.folder))
        for found in (present(each[entry.slug]) for each in (first, again, repaired)):
            assert (found.value, found.text, found.clusters) == (own.value, own.text, own.clusters)
            assert (found.scatter.text == own.scatter.text).all()


def test_board_command_and_report_rank_alike(entries, capsys):
    folders = [str(entry.folder) for entry in entries]
    board = standings(entries, resampled_headlines(entries))
    assert main(["compare", *folders, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["ranks"] == {
        entry.record.detector.name: list(present(present(board.of(entry.slug)).ranks)) for entry in entries
    }
    slugs = {entry.record.detector.name: entry.slug for entry in entries}
    for pair in found["differences"]:
        told = pair["difference"], *pair["interval"]
        assert told == pytest.approx(board.difference(slugs[pair["first"]], slugs[pair["second"]]))
    assert main(["report", str(entries[0].folder.parent)]) == 0
    shown = capsys.readouterr().out
    for word in ("own language", "others", "selectivity", "own hit hardest"):
        assert word in shown, word  # the board's words
    table = shown.partition("Kept share, zero on synthetic/model")[2].splitlines()
    assert [line.split("\t")[:2] for line in table[2:5]] in (
        [["1-2", "clean"], ["1-2", "cleaner"], ["3", "leaky"]],
        [["1-2", "cleaner"], ["1-2", "clean"], ["3", "leaky"]],
    )


def test_records_that_cannot_be_ranked_are_not_compared_by_threes(tmp_path, capsys):
    made = [synthetic_run(tmp_path / str(at), seed=at) for at in range(3)]
    assert len(made) == 3
    assert main(["compare", *(str(tmp_path / str(at)) for at in range(3))]) == 4
    assert "no two of the 3 records have a ladder" in capsys.readouterr().err


def test_the_readmes_table_says_ranks_and_kept_shares_and_finds_its_place(entries, tmp_path):
    results = entries[0].folder.parent
    text = board_table(results)
    assert "(checkpoint not stated): 3 languages, each judged on at least " in text
    assert re.search(
        r"at least [\d,]+ tokens of \d+ (sources|documents); \d+ detectors, ranked among themselves by the kept share at 10% harm",
        text,
    )
    for entry in entries:
        row = next(line for line in text.splitlines() if f"`{entry.record.detector.name}`" in line)
        low, high = entry.record.headline.estimate.interval
        assert f"{entry.record.headline.estimate.value:.2f} ({low:.2f}\N{EN DASH}{high:.2f})" in row
    page = tmp_path / "README.md"
    page.write_text(f"above\n{BEGIN}\nold\n{END}\nbelow\n")
    assert main(["leaderboard", "table", "--results", str(results), "--write", str(page)]) == 0
    assert page.read_text() == f"above\n{BEGIN}\n\n{text}\n{END}\nbelow\n"
    page.write_text("nothing\n")
    assert main(["leaderboard", "table", "--results", str(results), "--write", str(page)]) != 0
