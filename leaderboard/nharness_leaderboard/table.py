"""The board as a table for the README: the content of the front pages, a row per detector, between two marks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nharness.errors import FileFormatError
from nharness_leaderboard.marks import put_between
from nharness_leaderboard.ranks import Standings, resampled_headlines, standings
from nharness_leaderboard.results import Entry, read_results
from nharness_leaderboard.site.shown import Shown, shown_sets
from nharness_leaderboard.site.text import MINUS, NONE, kept, selection_text

BEGIN, END = "<!-- board: made by nharness leaderboard table --write README.md -->", "<!-- end of the board -->"


def board_table(results: Path) -> str:
    """Return a table per model in Markdown, each under a line that explains its columns.

    A model whose records have headlines has the rank interval and the kept share of each detector; any other has
    points at one budget: selectivity, and the share of languages that their own neurons hit hardest. Raises
    `FileFormatError` without a results folder, or with invalid records.
    """
    found = read_results(results, files=True)
    if found.problems:
        path, problems = next(iter(found.problems.items()))
        raise FileFormatError(f"{path} is not valid: {problems[0]}")
    placed = standings(found.entries, resampled_headlines(found.entries, results))
    shown = shown_sets(found.entries)
    names = list(dict.fromkeys(name for each in shown for name in each.detectors))
    rows = [
        " | ".join([f"| `{name}`", *(part for each in shown for part in _parts(each, name, placed))]) for name in names
    ]
    heads = [head for each in shown for head in _heads(each)]
    lines = [f"| detector | {' | '.join(heads)} |", "|---|" + "---:|" * len(heads), *(f"{row} |" for row in rows)]
    return "\n".join([*(f"- {_sentence(each)}" for each in shown), "", *lines]) + "\n"


def write_table(results: Path, path: Path) -> None:
    """Put the table between the marks of a Markdown file; raises `FileFormatError` for a file without them."""
    put_between(path, BEGIN, END, board_table(results))


def _heads(own: Shown) -> Sequence[str]:
    name = own.model.model.name
    return (f"{name}: rank", "kept share, 95 %") if own.ranked else (f"{name}: selectivity", "diagonal")


def _sentence(own: Shown) -> str:
    record = own.model
    where = f"{record.model.name} ({record.model.checkpoint or 'checkpoint not stated'}): {_judged_on(own)}"
    if own.ranked and record.headline is not None:
        among = f"{len(own.entries)} detectors, ranked among themselves"
        return f"{where}; {among} by the kept share at {record.headline.harm:.0%} harm."
    asked = ", ".join(selection_text(record.selection)) or "as many neurons as each detector finds"
    return f"{where}; points at one budget ({asked}), in order of selectivity in bits per byte and not ranked."


def _judged_on(own: Shown) -> str:
    """Return the number of languages, and the fewest tokens and sources (or documents) that one is judged on."""
    text = [split for split in own.model.corpus.splits if split.split == "eval" and split.language in own.languages]
    sources = [split.sources for split in text if split.sources is not None]
    least = min(each.items for each in own.model.baseline if each.task == own.task)
    of = f"{min(sources)} sources" if len(sources) == len(text) > 0 else f"{least} documents"
    tokens = f"{min(split.tokens for split in text):,} tokens of " if text else ""
    return f"{len(own.languages)} languages, each judged on at least {tokens}{of}"


def _parts(own: Shown, name: str, placed: Standings) -> Sequence[str]:
    entry = next((entry for entry in own.entries if entry.record.detector.name == name), None)
    if entry is None:
        return NONE, NONE
    return _ranked(entry, placed) if own.ranked else _point(own, entry)


def _ranked(entry: Entry, placed: Standings) -> Sequence[str]:
    headline, standing = entry.record.headline, placed.of(entry.slug)
    estimate = headline.estimate if headline else None
    if estimate is None:
        return NONE, NONE
    ends = f" ({kept(estimate.interval[0])}\N{EN DASH}{kept(estimate.interval[1])})" if estimate.interval else ""
    return (standing.interval if standing else "") or NONE, f"{kept(estimate.value)}{ends}"


def _point(own: Shown, entry: Entry) -> Sequence[str]:
    summary = own.summary(entry)
    if summary is None or summary.selectivity is None:
        return NONE, NONE
    diagonal = NONE if summary.diagonal_share is None else f"{100 * summary.diagonal_share:.0f} %"
    return f"{summary.selectivity.value:+.3f}".replace("-", MINUS), diagonal
