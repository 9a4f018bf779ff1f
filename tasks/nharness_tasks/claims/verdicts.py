"""How numbers become verdicts: an interval against a bar, and one record's finding among several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from nharness.claims import Finding, Verdict
from nharness.record.model import Record
from nharness.record.results import TaskSummary

TASK = "ppl"
LEVEL = 0.05
Interval = tuple[float, float]


def above(value: float, interval: Interval | None, bar: float, *, name: str, rule: str) -> Finding:
    """Return that a number lies above a bar: undecided where its interval holds the bar, or where there is none."""
    if interval is None:
        return Finding("undecided", {name: value}, f"{rule}; no interval")
    low, high = interval
    verdict: Verdict = "holds" if low > bar else "fails" if high < bar else "undecided"
    return Finding(verdict, {name: value}, rule, interval)


def in_every(records: Iterable[Record], judge: Callable[[Record], Finding | None]) -> Finding | None:
    """Return the finding of the record that stands worst: one that fails, else one that is undecided, else the first.

    The numbers of the others follow, by their models; None where the judge has nothing to say of any record.
    """
    found = [(record, finding) for record in records if (finding := judge(record)) is not None]
    if not found:
        return None
    order = ("fails", "undecided", "holds")
    found.sort(key=lambda pair: order.index(pair[1].verdict))
    worst = found[0][1]
    numbers = dict(worst.numbers)
    for record, finding in found[1:]:
        for name, value in finding.numbers.items():
            numbers.setdefault(f"{name} ({record.detector.name} on {record.model.name})", value)
    return Finding(worst.verdict, numbers, worst.rule, worst.interval)


def harming(records: Sequence[Record]) -> list[tuple[Record, TaskSummary]]:
    """Return records whose intervention does harm, each with its summary of perplexity."""
    chosen = [record for record in records if record.intervention.purpose == "harm"]
    return [(r, s) for r in chosen for s in r.summary if s.task == TASK]
