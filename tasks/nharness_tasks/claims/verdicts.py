"""How numbers become verdicts: an interval against a bar, and one finding from several records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from nharness.claims import Finding, Verdict
from nharness.record.model import Record
from nharness.record.results import TaskSummary

TASK = "ppl"
LEVEL = 0.05
ORDER: tuple[Verdict, ...] = ("fails", "undecided", "holds")
Interval = tuple[float, float]
Judge = Callable[[Record], Finding | None]


def state(record: Record) -> str:
    """Return the name of a record's model, with its revision where it has one: states of one training share a name."""
    model = record.model
    return f"{model.name}@{model.revision}" if model.revision else model.name


def above(value: float, interval: Interval | None, bar: float, *, name: str, rule: str) -> Finding:
    """Return whether a number lies above a bar: undecided if its interval contains the bar or is absent."""
    if interval is None:
        return Finding("undecided", {name: value}, f"{rule}; no interval")
    low, high = interval
    verdict: Verdict = "holds" if low > bar else "fails" if high < bar else "undecided"
    return Finding(verdict, {name: value}, rule, interval)


def all_above(numbers: Mapping[str, tuple[float, Interval | None]], bar: float, *, rule: str) -> Finding:
    """Return that every number lies above a bar: the worst of them decides, and is told first, with its interval."""
    found = {name: above(value, interval, bar, name=name, rule=rule) for name, (value, interval) in numbers.items()}
    worst = min(found, key=lambda name: ORDER.index(found[name].verdict))
    values = {name: numbers[name][0] for name in (worst, *numbers)}
    return Finding(found[worst].verdict, values, found[worst].rule, found[worst].interval)


def in_every(records: Iterable[Record], judge: Judge) -> Finding | None:
    """Return the finding of the record that stands worst: one that fails, else one that is undecided, else the first.

    The other records' numbers follow, by model; None if `judge` gives nothing for any record.
    """
    found = [(record, finding) for record in records if (finding := judge(record)) is not None]
    if not found:
        return None
    found.sort(key=lambda pair: ORDER.index(pair[1].verdict))
    worst = found[0][1]
    numbers = dict(worst.numbers)
    for record, finding in found[1:]:
        for name, value in finding.numbers.items():
            numbers.setdefault(f"{name} ({record.detector.name} on {record.model.name})", value)
    return Finding(worst.verdict, numbers, worst.rule, worst.interval)


def measured(found: Finding | None, *records: Record, task: str = TASK) -> Finding | None:
    """Return a finding that decides nothing where cells of the task's matrices were not measured."""
    cells = [cell for record in records for cell in record.cells if cell.task == task]
    failed = sum(cell.status == "failed" for cell in cells)
    if found is None or not failed:
        return found
    rule = f"{found.rule}; {failed} of {len(cells)} cells were not measured"
    return Finding("undecided", found.numbers, rule, found.interval)


def whole(judge: Judge) -> Judge:
    """Return a judge of a record's matrix of perplexities that decides nothing of one that was measured in part."""
    return lambda record: measured(judge(record), record)


def harming(records: Sequence[Record]) -> list[tuple[Record, TaskSummary]]:
    """Return records whose intervention does harm, each with its summary of perplexity."""
    chosen = [record for record in records if record.intervention.purpose == "harm"]
    return [(r, s) for r in chosen for s in r.summary if s.task == TASK]
