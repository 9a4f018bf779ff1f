"""The board's data: a row per record with the results of each task and language, small for a thousand records."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from nharness.information import BITS_PER_BYTE
from nharness.languages import display_name
from nharness.record.cells import largest_targets
from nharness.record.model import Record
from nharness.record.results import TaskSummary
from nharness.record.types import Estimate
from nharness_leaderboard.ranks import Standings
from nharness_leaderboard.results import Entry
from nharness_leaderboard.site.text import intervention_text, rounded
from nharness_leaderboard.ties import alike_key


def board_data(entries: Sequence[Entry], placed: Standings) -> dict[str, Any]:
    """Return the board's document; numbers have five significant digits, the records all of them."""
    tags = sorted({tag for entry in entries for task in entry.record.tasks for tag in task.languages})
    return {
        "rows": [board_row(entry, placed) for entry in entries],
        "languages": {tag: display_name(tag) for tag in tags},
        "tasks": _tasks(entries),
        "sets": _sets(entries),
    }


def language_data(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return by record, task and language: selectivity with its interval, whether on the diagonal, kept share, neurons.

    It is separate from the board's document, for it is read only when a language is chosen.
    """
    whole = {entry.slug: largest_targets(entry.record.targets) for entry in entries}
    return {
        entry.slug: {
            summary.task: {
                row.language: [
                    *_three(row.selectivity),
                    row.diagonal,
                    _kept(entry.record, summary.task, row.language),
                    entry.record.neurons.per_language.get(row.language or ""),
                ]
                for row in summary.rows
                if row.selectivity is not None and row.target in whole[entry.slug]
            }
            for summary in entry.record.summary
        }
        for entry in entries
    }


def _kept(record: Record, task: str, language: str | None) -> float | None:
    headline = record.headline
    found = headline.languages.get(language or "") if headline and headline.task == task else None
    return rounded(found.kept) if found else None


def board_row(entry: Entry, placed: Standings) -> dict[str, Any]:
    """Return one record's row."""
    record = entry.record
    return whole_record(entry.slug, record) | {
        "total": record.neurons.total,
        "badge": record.identity.badge,
        "created": record.identity.created,
        "truth": record.ground_truth[0].truth if record.ground_truth else None,
        "failed": sum(cell.status == "failed" for cell in record.cells),
        "tasks": {summary.task: _task_row(entry, summary, placed) for summary in record.summary},
    }


def whole_record(slug: str, record: Record) -> dict[str, Any]:
    """Return what the board and the comparison both say of a record as a whole."""
    truth = record.ground_truth[0] if record.ground_truth else None
    return {
        "id": slug,
        "detector": record.detector.name,
        "model": record.model.name,
        "intervention": intervention_text(record),
        "kinds": "+".join(record.selection.kinds),
        "budget": record.selection.budget,
        "neurons": record.neurons.selected,
        "tokens": sum(record.cost.forward_tokens.values()),
        "seconds": rounded(sum(record.cost.seconds.values())),
        "auroc": rounded(truth.auroc) if truth else None,
        "accuracy": accuracy_lost(record),
    }


def accuracy_lost(record: Record) -> float | None:
    """Return the mean accuracy that languages lose by their own neurons, over tasks that count right answers.

    In percentage points; None when there is no such task.
    """
    lost = [
        summary.on_target.value
        for summary, task in ((summary, record.task(summary.task)) for summary in record.summary)
        if summary.on_target is not None and task is not None and task.unit == "share of items"
    ]
    return rounded(100 * fmean(lost)) if lost else None


def _task_row(entry: Entry, summary: TaskSummary, placed: Standings) -> dict[str, Any]:
    headline = entry.record.headline
    standing = placed.of(entry.slug) if headline is None or headline.task == summary.task else None
    control = summary.control_selectivity
    return {
        "s": _three(summary.selectivity),
        "all": None if summary.selectivity else _harm_to_all(entry.record, summary.task),
        "on": rounded(summary.on_target.value) if summary.on_target else None,
        "off": rounded(summary.off_target.value) if summary.off_target else None,
        "diag": rounded(summary.diagonal_share),
        "f1": rounded(summary.langspec_f1),
        "auc": rounded(summary.area_under_budget),
        "perNeuron": rounded(summary.per_neuron_damage),
        "c": [rounded(control.mean), rounded(control.sd), rounded(control.effect), rounded(control.p), control.draws]
        if control
        else None,
        "kept": _three(headline.estimate) if headline and headline.task == summary.task else None,
        "set": alike_key(entry.record, summary.task),
        "rank": [*standing.ranks, standing.of] if standing and standing.ranks else None,
        "unranked": standing.reason if standing else None,
    }


def _harm_to_all(record: Record, name: str) -> float | None:
    """Return the mean harm over all cells, for neurons that belong to no single language."""
    task = record.task(name)
    changes = [cell.change for cell in record.cells if cell.task == name and cell.change is not None]
    if task is None or not changes:
        return None
    return rounded(fmean(changes) * (1 if task.direction == "lower" else -1))


def _three(estimate: Estimate | None) -> list[float | None]:
    low, high = estimate.interval if estimate and estimate.interval else (None, None)
    return [rounded(estimate.value) if estimate else None, rounded(low), rounded(high)]


def _tasks(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Return every task once, the most frequent first."""
    counted: dict[str, dict[str, Any]] = {}
    for entry in entries:
        for task in entry.record.tasks:
            known = counted.setdefault(task.name, {"name": task.name, "metric": task.metric, "unit": task.unit, "n": 0})
            known["n"] += 1
    return sorted(counted.values(), key=lambda task: (task["metric"] != BITS_PER_BYTE, -task["n"], task["name"]))


def _sets(entries: Sequence[Entry]) -> dict[str, dict[str, Any]]:
    """Return what the records of each set, which differ in the detector alone, have in common."""
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        record = entry.record
        for summary in record.summary:
            found.setdefault(
                alike_key(record, summary.task),
                {
                    "model": record.model.name,
                    "corpus": record.corpus.name,
                    "languages": list(record.languages),
                    "intervention": intervention_text(record),
                    "kinds": "+".join(record.selection.kinds),
                    "budget": record.selection.budget,
                    "total": record.neurons.total,
                    "items": sum(each.items for each in record.baseline if each.task == summary.task),
                },
            )
    return found
