"""Claims: statements about a record's summary that hold or do not, such as `selectivity > 0.01`.

A statement is `[TASK.]QUANTITY[.low|.high] OPERATOR NUMBER`. The quantities are those of
`nharness.record.results.TaskSummary`; `.low` and `.high` are the ends of an estimate's interval, and `control_p` is the
p of the selectivity against random controls. Without a task the statement is about every task of the record.
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
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
}
CONTROL_P = "control_p"
NOT_QUANTITIES = ("task", "rows", "control_selectivity")
QUANTITIES = (*(name for name in TaskSummary.model_fields if name not in NOT_QUANTITIES), CONTROL_P)
_STATEMENT = re.compile(
    r"\s*(?:([\w-]+)\.)?([A-Za-z]\w*?)(?:\.(low|high))?\s*(>=|<=|==|>|<)\s*([-+]?\d+\.?\d*(?:[eE][-+]?\d+)?)\s*"
)


@dataclass(frozen=True)
class Statement:
    """A claim taken apart; task and end are empty where none was named."""

    text: str
    task: str
    quantity: str
    end: str
    operator: str
    bar: float


@dataclass(frozen=True)
class ClaimResult:
    """A claim on one record's task: the value it was held against, and whether it holds (a missing value does not)."""

    statement: str
    record: str
    task: str
    value: float | None
    holds: bool


def read_statement(text: str) -> Statement:
    """Take a claim apart; raises `UsageError` for what is none, `UnknownNameError` for an unknown quantity."""
    match = _STATEMENT.fullmatch(text)
    if match is None:
        raise UsageError(f"claim {text!r}; expected one such as 'selectivity > 0.01' or 'ppl.diagonal_share >= 0.9'")
    task, quantity, end, compare, bar = match.groups(default="")
    if quantity not in QUANTITIES:
        raise UnknownNameError("quantity of a claim", quantity, QUANTITIES)
    return Statement(text, task, quantity, end, compare, float(bar))


def check_claims(claims: Sequence[Claim], records: Sequence[Record]) -> list[ClaimResult]:
    """Return every claim on every record and task that it is about."""
    results = []
    for claim in claims:
        statement = read_statement(claim.statement)
        for record in records:
            if claim.detector in {None, record.detector.name}:
                results += [_on(statement, record, s) for s in record.summary if statement.task in {"", s.task}]
    return results


def _on(statement: Statement, record: Record, summary: TaskSummary) -> ClaimResult:
    value = value_of(summary, statement.quantity, statement.end)
    holds = value is not None and OPERATORS[statement.operator](value, statement.bar)
    return ClaimResult(statement.text, record.detector.name, summary.task, value, holds)


def value_of(summary: TaskSummary, quantity: str, end: str = "") -> float | None:
    """Return a quantity of a summary, or one end of its interval; None where the record has none."""
    if quantity == CONTROL_P:
        return summary.control_selectivity.p if summary.control_selectivity else None
    found = getattr(summary, quantity)
    if isinstance(found, Estimate):
        if not end:
            return found.value
        return None if found.interval is None else found.interval[0 if end == "low" else 1]
    return found if isinstance(found, float) else None
