"""What the compare page loads of a record: summaries, matrix, and paired differences from all others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nharness.record.model import Record
from nharness.record.results import TaskSummary
from nharness.record.types import Estimate
from nharness_leaderboard.paired import Difference
from nharness_leaderboard.ranks import Standings
from nharness_leaderboard.site.board import whole_record
from nharness_leaderboard.site.text import rounded, script_json
from nharness_leaderboard.site.view import RecordView, TaskView
from nharness_leaderboard.ties import comparable_key

Apart = Mapping[str, Mapping[tuple[str, str], Difference]]


def comparison_script(view: RecordView, apart: Apart, placed: Standings) -> str:
    """Return a script that registers the record; its data are JSON that cannot close the script."""
    return f'window.nharnessRecords["{view.slug}"]={script_json(comparison_data(view, apart, placed))};\n'


def comparison_data(view: RecordView, apart: Apart, placed: Standings) -> dict[str, Any]:
    """Return the record's document for comparison; selectivity is exact, other numbers have five significant digits.

    apart: by task, the paired differences of every two records by short name. placed: ranks and differences of
    headlines.
    """
    record = view.record
    return whole_record(view.slug, record) | {
        "headline": _headline(view, placed),
        "tasks": {
            task.task.name: _task(record, task, _minus(view.slug, apart.get(task.task.name, {}))) for task in view.tasks
        },
    }


def _headline(view: RecordView, placed: Standings) -> dict[str, Any] | None:
    """Return the kept share, its rank, and its differences from the records ranked with it."""
    headline, standing = view.record.headline, view.standing
    if headline is None or standing is None:
        return None
    others = {slug for pair in placed.differences for slug in pair if view.slug in pair and slug != view.slug}
    minus = {slug: placed.difference(view.slug, slug) for slug in sorted(others)}
    return {
        "kept": _three(headline.estimate, exact=True),
        "harm": headline.harm,
        "reached": [headline.reached, headline.of],
        "rank": standing.text or None,
        "unranked": standing.reason,
        "set": standing.group,
        "minus": {slug: [rounded(value) for value in three] for slug, three in minus.items() if three},
        "languages": {tag: [each.kept, each.own, each.others, each.units] for tag, each in headline.languages.items()},
    }


def _minus(slug: str, found: Mapping[tuple[str, str], Difference]) -> dict[str, list[float]]:
    """Return this record minus each other, with the interval, by the other's short name."""
    here = {second: [d.value, *d.interval] for (first, second), d in found.items() if first == slug}
    there = {
        first: [-d.value, -d.interval[1], -d.interval[0]] for (first, second), d in found.items() if second == slug
    }
    return here | there


def _task(record: Record, view: TaskView, minus: Mapping[str, list[float]]) -> dict[str, Any]:
    summary = view.summary
    control = summary.control_selectivity if summary else None
    return {
        "unit": view.task.unit,
        "languages": [tag for tag, _ in view.languages],
        "targets": [row.target for row in view.rows],
        "owners": [next((cell.language for cell in row.cells if cell.own), None) for row in view.rows],
        "harm": [[cell.harm for cell in row.cells] for row in view.rows],
        "sig": [[cell.significant for cell in row.cells] for row in view.rows] if view.marked else None,
        "s": _three(_part(summary, "selectivity"), exact=True),
        "on": _three(_part(summary, "on_target")),
        "off": _three(_part(summary, "off_target")),
        "diag": summary.diagonal_share if summary else None,
        "effect": rounded(control.effect) if control else None,
        "set": comparable_key(record, view.task.name),
        "minus": {slug: [rounded(value) for value in three] for slug, three in minus.items()},
    }


def _part(summary: TaskSummary | None, name: str) -> Estimate | None:
    return getattr(summary, name) if summary else None


def _three(estimate: Estimate | None, *, exact: bool = False) -> list[float | None]:
    low, high = estimate.interval if estimate and estimate.interval else (None, None)
    found = [estimate.value if estimate else None, low, high]
    return found if exact else [rounded(value) for value in found]
