"""The reviewer's comparison: what is new, how it compares with like records, what to look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nharness.record.tables import Row, to_markdown
from nharness.record.types import Estimate
from nharness_leaderboard.gate import Verdict
from nharness_leaderboard.ranks import Standings, resampled_headlines, set_key, standings
from nharness_leaderboard.results import Entry
from nharness_leaderboard.site.text import against_random, fixed, intervention_text, percent, selection_text, signed

_SHOWN = 50


def comment(verdict: Verdict) -> str:
    """Return the comment in Markdown, with all text from records escaped."""
    lines = ["## Submission: " + ("ready" if verdict.passed else "not ready"), ""]
    lines += list(_problems(verdict))
    if verdict.new:
        touched = {set_key(entry.record) for entry in verdict.new}
        near = [entry for entry in verdict.results.entries if set_key(entry.record) in touched]
        placed = standings(near, resampled_headlines(near, verdict.results.folder))
        rows = [_row(e, s.task, placed, near) for e in verdict.new for s in e.record.summary]
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


def _row(entry: Entry, task: str, placed: Standings, near: Sequence[Entry]) -> Row:
    record = entry.record
    summary = record.summary_of(task)
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
        "against random": f"{signed(control.effect)} sd, p {against_random(control)}" if control else None,
        "own hit hardest": percent(summary.diagonal_share if summary else None),
        **_headline(entry, task, placed, near),
    }


def _headline(entry: Entry, task: str, placed: Standings, near: Sequence[Entry]) -> Row:
    """Return the kept share, its rank and how far it is from the best, where the task is the headline's."""
    headline, standing = entry.record.headline, placed.of(entry.slug)
    if headline is None or headline.task != task or standing is None:
        reason = f"none: {standing.reason}" if standing and headline is None else None
        return {"kept share": None, "rank": reason, "against the best": None}
    best = _best(near, placed, standing.group)
    return {
        "kept share": _estimate(headline.estimate),
        "rank": standing.text or f"none: {standing.reason}",
        "against the best": "is the best" if best is entry else _behind(entry, best, placed),
    }


def _best(near: Sequence[Entry], placed: Standings, group: str) -> Entry | None:
    """Return the record of a set with the highest headline among those ranked."""
    members = [entry for entry in near if (other := placed.of(entry.slug)) and other.group == group and other.ranks]
    return max(members, key=_kept, default=None)


def _kept(entry: Entry) -> float:
    headline = entry.record.headline
    return headline.estimate.value if headline and headline.estimate else float("-inf")


def _behind(entry: Entry, best: Entry | None, placed: Standings) -> str:
    found = placed.difference(entry.slug, best.slug) if best is not None else None
    if found is None:
        return "none is ranked" if best is None else "not ranked with it"
    value, low, high = found
    return f"{fixed(value, 4)} ({fixed(low, 4)} to {fixed(high, 4)})"


def _estimate(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    ends = f" ({fixed(estimate.interval[0], 4)} to {fixed(estimate.interval[1], 4)})" if estimate.interval else ""
    return f"{fixed(estimate.value, 4)}{ends}"


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
