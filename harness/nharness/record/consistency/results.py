"""Summaries and curves: one per task, rows in order, differences that are differences."""

from __future__ import annotations

from collections.abc import Iterator

from nharness.record.cells import largest_targets
from nharness.record.consistency.closeness import close
from nharness.record.consistency.sources import repeated
from nharness.record.model import Record
from nharness.record.problems import Problem
from nharness.record.results import CurvePoint, RowSummary, TaskSummary
from nharness.record.types import Estimate


def result_problems(record: Record) -> Iterator[Problem]:
    """Yield problems of summaries, curves, ground truth and stability."""
    tasks = [task.name for task in record.tasks]
    yield from repeated("/summary", [summary.task for summary in record.summary], "task")
    for name in tasks:
        if record.summary_of(name) is None:
            yield Problem("/summary", f"task {name} has no summary")
    rows = [target.name for target in record.targets if target.language is not None]
    for index, summary in enumerate(record.summary):
        where = f"/summary/{index}"
        if summary.task not in tasks:
            yield Problem(f"{where}/task", f"no task {summary.task}")
        if [row.target for row in summary.rows] != rows:
            yield Problem(f"{where}/rows", f"expected one row per language target, in order: {', '.join(rows[:12])}")
        yield from _differences(where, summary, record)
        for number, row in enumerate(summary.rows):
            yield from _languages(f"{where}/rows/{number}", row, summary.task, record)
            yield from _differences(f"{where}/rows/{number}", row, record)
        yield from _share(where, summary, record)
    for index, point in enumerate(record.curve):
        yield from _curve(f"/curve/{index}", point, tasks, record)
    yield from _repeats(record)


def _repeats(record: Record) -> Iterator[Problem]:
    """Yield what of the repeats contradicts the headline, whose ladders cannot outnumber the repeats listed."""
    parts = record.repeats.parts if record.repeats else ()
    found = record.headline.repeats if record.headline else 0
    if found > len(parts):
        yield Problem("/headline/repeats", f"{found} repeats were climbed, but /repeats lists {len(parts)}")
    names = [part.name for part in parts]
    for index, part in enumerate(parts):
        if part.name in names[:index]:
            yield Problem(f"/repeats/parts/{index}/name", f"{part.name} is listed twice")
        stranger = next((tag for tag in (*part.neurons, *part.digests) if tag not in record.languages), None)
        if stranger is not None:
            yield Problem(f"/repeats/parts/{index}", f"{stranger} is no language of the record")


def _curve(where: str, point: CurvePoint, tasks: list[str], record: Record) -> Iterator[Problem]:
    if point.task not in tasks:
        yield Problem(f"{where}/task", f"no task {point.task}")
    yield from _differences(where, point, record)
    if point.controls is not None and point.controls.low > point.controls.high:
        yield Problem(f"{where}/controls", "the band's lower end is above its upper end")


def _languages(where: str, row: RowSummary, task: str, record: Record) -> Iterator[Problem]:
    owner = next((target.language for target in record.targets if target.name == row.target), None)
    if owner is not None and row.language != owner:
        yield Problem(f"{where}/language", f"language is {row.language}, that of the target is {owner}")
    measured = next((entry.languages for entry in record.tasks if entry.name == task), ())
    if row.largest is not None and row.largest not in measured:
        yield Problem(f"{where}/largest", f"task {task} was not measured in language {row.largest}")


def _differences(where: str, part: TaskSummary | RowSummary | CurvePoint, record: Record) -> Iterator[Problem]:
    for name in ("on_target", "off_target", "selectivity"):
        estimate: Estimate | None = getattr(part, name)
        if estimate is not None and estimate.interval is not None and estimate.interval[0] > estimate.interval[1]:
            yield Problem(f"{where}/{name}/interval", "the lower end is above the upper end")
    if part.on_target is None or part.off_target is None or part.selectivity is None:
        return
    on, off = part.on_target.value, part.off_target.value
    if not close(part.selectivity.value, on - off, record, scale=max(abs(on), abs(off))):
        yield Problem(f"{where}/selectivity/value", f"selectivity is {part.selectivity.value}, on - off is {on - off}")


def _share(where: str, summary: TaskSummary, record: Record) -> Iterator[Problem]:
    whole = largest_targets(record.targets)
    known = [row.diagonal for row in summary.rows if row.diagonal is not None and row.target in whole]
    if summary.diagonal_share is not None and known:
        share = sum(known) / len(known)
        if not close(summary.diagonal_share, share, record):
            yield Problem(f"{where}/diagonal_share", f"share is {summary.diagonal_share}, that of the rows is {share}")
