"""Claims: statements about a record's summary that hold or do not, such as `selectivity > 0.01`.

A statement is `QUANTITY OPERATOR NUMBER`, or `TASK.QUANTITY OPERATOR NUMBER` for one task. The quantities are those of
`nharness.record.results.TaskSummary`; `NAME.low` and `NAME.high` are the ends of an estimate's interval, and
`control_p` the empirical p of the selectivity against random controls.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from nharness.errors import UnknownNameError, UsageError
from nharness.record.model import Record
from nharness.record.results import TaskSummary
from nharness.record.types import Estimate
from nharness.spec import Claim

OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "==": operator.eq,
}  # fmt: skip
_STATEMENT = re.compile(r"\s*([\w.-]+)\s*(>=|<=|==|>|<)\s*([-+0-9.eE]+)\s*")


@dataclass(frozen=True)
class ClaimResult:
    """A claim on one record's task: the value it was held against, and whether it holds (a missing value does not)."""

    statement: str
    record: str
    task: str
    value: float | None
    holds: bool


def check_claims(claims: Sequence[Claim], records: Sequence[Record]) -> list[ClaimResult]:
    """Return every claim on every record it is about; raises `UsageError` for a statement that cannot be read."""
    results = []
    for claim in claims:
        place, compare, bar = parse_claim(claim.statement)
        for record in records:
            if claim.detector in {None, record.detector.name}:
                results += _on_record(claim.statement, place, compare, bar, record)
    return results


def parse_claim(statement: str) -> tuple[str, str, float]:
    """Return quantity, operator and number of a statement."""
    match = _STATEMENT.fullmatch(statement)
    if match is None:
        raise UsageError(
            f"claim {statement!r}; expected a statement such as 'selectivity > 0.01' or 'ppl.diagonal_share >= 0.9'"
        )
    try:
        return match[1], match[2], float(match[3])
    except ValueError as error:
        raise UsageError(f"claim {statement!r}: {match[3]!r} is no number") from error


def _on_record(statement: str, place: str, compare: str, bar: float, record: Record) -> list[ClaimResult]:
    tasks = {summary.task: summary for summary in record.summary}
    task, dot, quantity = place.partition(".")
    chosen = {task: tasks[task]} if dot and task in tasks else tasks
    name = quantity if dot and task in tasks else place
    results = []
    for label, summary in chosen.items():
        value = quantity_of(summary, name)
        holds = value is not None and OPERATORS[compare](value, bar)
        results.append(ClaimResult(statement, record.detector.name, label, value, holds))
    return results


def quantity_of(summary: TaskSummary, name: str) -> float | None:
    """Return a quantity of a summary; raises `UnknownNameError` with the nearest one."""
    base, _, end = name.partition(".")
    if base == "control_p":
        return summary.control_selectivity.p if summary.control_selectivity else None
    known = [
        *(field for field in TaskSummary.model_fields if field not in {"task", "rows", "control_selectivity"}),
        "control_p",
    ]
    if base not in known or end not in {"", "low", "high"}:
        raise UnknownNameError("quantity of a claim", name, known)
    found = getattr(summary, base)
    if isinstance(found, Estimate):
        if not end:
            return found.value
        return None if found.interval is None else found.interval[0 if end == "low" else 1]
    return found if isinstance(found, float) else None
