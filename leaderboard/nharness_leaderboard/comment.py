"""The comparison a reviewer wants to read: what is new, how it stands among comparable records, what to look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nharness.record.model import Record
from nharness.record.tables import Row, to_markdown
from nharness.record.types import Estimate
from nharness_leaderboard.gate import Verdict
from nharness_leaderboard.paired import Difference, Paired, sides
from nharness_leaderboard.results import Entry
from nharness_leaderboard.site.text import fixed, intervention_text, p_value, percent, selection_text, signed
from nharness_leaderboard.ties import Standing, compare, ranking_key, standings

_SHOWN = 50
Known = Mapping[str, Mapping[str, Paired]]


def comment(verdict: Verdict) -> str:
    """Return the comment as Markdown; everything that comes from a record is escaped."""
    lines = ["## Submission: " + ("ready" if verdict.passed else "not ready"), ""]
    lines += list(_problems(verdict))
    if verdict.new:
        touched = {ranking_key(e.record, s.task) for e in verdict.new for s in e.record.summary}
        near = [e for e in verdict.results.entries if _touches(e.record, touched)]
        known = {entry.slug: sides(entry.record, entry.folder) for entry in near}
        placed = standings(near, known)
        rows = [_row(e, s.task, placed, near, known) for e in verdict.new for s in e.record.summary]
        lines += [f"### {len(verdict.new)} new record(s)", "", to_markdown(rows[:_SHOWN])]
        lines += list(_notes(verdict.new))
    if verdict.removed:
        lines += [f"### {len(verdict.removed)} record(s) removed", "", *map(_removed, verdict.removed[:_SHOWN])]
    return "\n".join(lines).rstrip() + "\n"


def _problems(verdict: Verdict) -> Iterator[str]:
    root = verdict.results.folder
    rows: list[Row] = [
        {"file": path.relative_to(root).as_posix(), "where": problem.pointer, "problem": problem.message}
        for path, found in verdict.problems.items()
        for problem in found
    ]
    if rows:
        yield to_markdown(rows[:_SHOWN])
        if len(rows) > _SHOWN:
            yield f"and {len(rows) - _SHOWN} more: `nharness leaderboard check`\n"


def _removed(path: str) -> str:
    return "- `" + "".join(c for c in path if c.isalnum() or c in "./-_") + "`"


def _row(
    entry: Entry, task: str, placed: Mapping[tuple[str, str], Standing], near: Sequence[Entry], known: Known
) -> Row:
    record = entry.record
    summary = record.summary_of(task)
    standing = placed.get((entry.slug, task))
    best = _best(near, task, placed, standing)
    behind = compare(entry, best, task, known) if best is not None and best is not entry else None
    control = summary.control_selectivity if summary else None
    unit = next((t.unit for t in record.tasks if t.name == task), "")
    asked = ", ".join([intervention_text(record), *selection_text(record.selection)])
    return {
        "record": entry.slug,
        "detector": record.detector.name,
        "model": record.model.name,
        "edit": asked,
        "task": f"{task}, {unit[:40]}",
        "selectivity": _estimate(summary.selectivity if summary else None),
        "against random": f"{signed(control.effect)} sd, p {p_value(control.p)}" if control else None,
        "own hit hardest": percent(summary.diagonal_share if summary else None),
        "rank": (standing.text or f"none: {standing.reason}") if standing else None,
        "against the best": "is the best" if best is entry else _difference(behind) if best else "none is ranked",
    }


def _best(
    near: Sequence[Entry], task: str, placed: Mapping[tuple[str, str], Standing], standing: Standing | None
) -> Entry | None:
    """Return the record of the set with the highest selectivity among those ranked."""
    ranked = [
        entry
        for entry in near
        if standing and (other := placed.get((entry.slug, task))) and other.group == standing.group and other.ranks
    ]
    return max(ranked, key=lambda entry: _selectivity(entry, task), default=None)


def _selectivity(entry: Entry, task: str) -> float:
    summary = entry.record.summary_of(task)
    return summary.selectivity.value if summary and summary.selectivity else float("-inf")


def _touches(record: Record, keys: set[str]) -> bool:
    return any(ranking_key(record, summary.task) in keys for summary in record.summary)


def _estimate(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    ends = f" ({fixed(estimate.interval[0], 4)} to {fixed(estimate.interval[1], 4)})" if estimate.interval else ""
    return f"{fixed(estimate.value, 4)}{ends}"


def _difference(found: Difference | None) -> str:
    if found is None:
        return "not comparable"
    how = "paired" if found.paired else "unpaired"
    low, high = found.interval
    return f"{fixed(found.value, 4)} ({fixed(low, 4)} to {fixed(high, 4)}), {how}"


def _notes(new: Sequence[Entry]) -> Iterator[str]:
    for entry in new:
        record, notes = entry.record, []
        failed = sum(cell.status == "failed" for cell in record.cells)
        if failed:
            notes.append(f"{failed} of {len(record.cells)} cells failed")
        if record.corpus.overlap:
            shared = ", ".join(overlap.language for overlap in record.corpus.overlap)
            notes.append(f"detection and evaluation text overlap in {shared}")
        if record.identity.badge == "reproduced":
            notes.append("has the badge 'reproduced'")
        empty = [tag for tag, count in record.neurons.per_language.items() if not count]
        if empty:
            notes.append("no neurons for " + ", ".join(empty))
        yield from (f"- `{entry.slug}`: {note}" for note in notes)
