"""Claims: statements about records that hold, fail or are undecided.

The short form is an inequality on a record's summary, such as `selectivity > 0.01`:
`[TASK.]QUANTITY[.low|.high] OPERATOR NUMBER`. The quantities are those of `nharness.record.results.TaskSummary`; `.low`
and `.high` are the ends of an estimate's interval, and `control_p` is the p of the selectivity against random controls.
Without a task the statement is about every task of the record. It is *undecided* where the interval of its quantity
straddles the bar, where there is no value, and where a mean over the matrix lacks cells that were not measured.

The long form is a class, registered by `nharness_register_claims`: what it says, where it is printed, and a test over
records. Either says nothing about what is not there: a claim that no record is about is an error, never a success.
"""

from __future__ import annotations

import math
import operator
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

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


Verdict = Literal["holds", "fails", "undecided"]


@dataclass(frozen=True)
class Finding:
    """What a claim's test found: verdict, the numbers it rests on, the rule in words, the first number's interval."""

    verdict: Verdict
    numbers: Mapping[str, float]
    rule: str
    interval: tuple[float, float] | None = None


class NamedClaim(ABC):
    """A finding of a paper that records can bear out or not; an instance holds nothing.

    name: as it is asked for. statement: what is claimed, one sentence. paper, place: who says so, and where in it.
    needs: what records it takes, one sentence. printed: the paper's own number, where it prints one.
    """

    name: ClassVar[str]
    statement: ClassVar[str]
    paper: ClassVar[str]
    place: ClassVar[str] = ""
    needs: ClassVar[str] = ""
    printed: ClassVar[str] = ""

    @abstractmethod
    def test(self, records: Sequence[Record]) -> Finding | None:
        """Return what the records say, undecided where an interval straddles the bar; None: they are not about it."""


@dataclass(frozen=True)
class ClaimResult:
    """A claim on what it was held against: a record's task, or all records (`record` and `task` are then empty).

    interval: of the value, where the test gives one. printed: the paper's own number, where it prints one.
    """

    statement: str
    record: str
    task: str
    value: float | None
    verdict: Verdict
    rule: str = ""
    interval: tuple[float, float] | None = None
    printed: str = ""

    @property
    def line(self) -> str:
        """The verdict as one line."""
        value = "no value" if self.value is None else f"{self.value:.4g}"
        about = " ".join(part for part in (self.record, self.task) if part)
        why = f"; {self.rule}" if self.rule else ""
        word = {"holds": "holds", "fails": "FAILS", "undecided": "is undecided"}[self.verdict]
        return f"claim {word}: {about + ': ' if about else ''}{self.statement} ({value}{why})"


Named = Mapping[str, Callable[[], NamedClaim]]


@dataclass(frozen=True)
class Held:
    """A registered claim held against records, all together and each model's alone.

    finding: of all records; None where they are not about the claim. by_model: of each model's records, in their order;
    a model whose records alone are not about the claim has no entry.
    """

    claim: NamedClaim
    finding: Finding | None
    by_model: Mapping[str, Finding]


def hold(names: Sequence[str], records: Sequence[Record], named: Named) -> list[Held]:
    """Return what records say of registered claims, a value per name; raises `UnknownNameError` for another name."""
    models = dict.fromkeys(record.model.name for record in records)
    results = []
    for name in names:
        if name not in named:
            raise UnknownNameError("claim", name, named)
        claim = named[name]()
        alone = {model: claim.test([r for r in records if r.model.name == model]) for model in models}
        found = {model: each for model, each in alone.items() if each is not None}
        results.append(Held(claim, claim.test(records), found))
    return results


def read_statement(text: str) -> Statement:
    """Take a claim apart; raises `UsageError` for anything else, `UnknownNameError` for an unknown quantity."""
    match = _STATEMENT.fullmatch(text)
    if match is None:
        raise UsageError(f"claim {text!r}; expected one such as 'selectivity > 0.01' or 'ppl.diagonal_share >= 0.9'")
    task, quantity, end, compare, bar = match.groups(default="")
    if quantity in {"low", "high"} and not end and task in QUANTITIES:
        task, quantity, end = "", task, quantity
    if quantity not in QUANTITIES:
        raise UnknownNameError("quantity of a claim", quantity, QUANTITIES)
    return Statement(text, task, quantity, end, compare, float(bar))


def require_known(
    claims: Sequence[Claim], tasks: Collection[str], detectors: Collection[str], named: Collection[str]
) -> None:
    """Raise `UsageError` for a claim that nothing of a run is about, so that it could not fail."""
    for claim in claims:
        if claim.detector is not None and claim.detector not in detectors:
            here = ", ".join(sorted(detectors))
            raise UsageError(f"claim {claim.statement!r} is about detector {claim.detector}; this run has {here}")
        task = "" if claim.statement.strip() in named else read_statement(claim.statement).task
        if task and task not in tasks:
            here = ", ".join(sorted(tasks)) or "none"
            raise UsageError(f"claim {claim.statement!r} is about task {task}; this run has {here}")


def check_claims(claims: Sequence[Claim], records: Sequence[Record], named: Named | None = None) -> list[ClaimResult]:
    """Return every claim on every record and task that it is about, on all records at once for a registered one.

    Raises `UsageError` for a claim that no record is about.
    """
    results = []
    for claim in claims:
        chosen = [record for record in records if claim.detector in {None, record.detector.name}]
        make = (named or {}).get(claim.statement.strip())
        found = _short(claim, chosen) if make is None else _named(make(), chosen)
        if not found and records:
            about = f" by {claim.detector}" if claim.detector else ""
            raise UsageError(f"none of the {len(records)} records can answer claim {claim.statement!r}{about}")
        results += found
    return results


def _named(claim: NamedClaim, records: Sequence[Record]) -> list[ClaimResult]:
    found = claim.test(records)
    if found is None:
        return []
    numbers = ", ".join(f"{name} {value:.4g}" for name, value in found.numbers.items())
    value = next(iter(found.numbers.values()), None)
    rule = f"{numbers}; {found.rule}" if numbers else found.rule
    return [ClaimResult(claim.name, "", "", value, found.verdict, rule, finite(found.interval), claim.printed)]


def finite(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    """Return an interval whose ends are numbers, else None."""
    return interval if interval is not None and all(map(math.isfinite, interval)) else None


def _short(claim: Claim, records: Sequence[Record]) -> list[ClaimResult]:
    statement = read_statement(claim.statement)
    return [_on(statement, r, s) for r in records for s in r.summary if statement.task in {"", s.task}]


def _on(statement: Statement, record: Record, summary: TaskSummary) -> ClaimResult:
    value = value_of(summary, statement.quantity, statement.end)
    verdict, rule = _verdict(statement, summary, value)
    missing = sum(cell.status == "failed" for cell in record.cells if cell.task == summary.task)
    if missing:
        whole = sum(cell.task == summary.task for cell in record.cells)
        verdict, rule = "undecided", f"{missing} of {whole} cells were not measured"
    return ClaimResult(statement.text, record.detector.name, summary.task, value, verdict, rule)


def _verdict(statement: Statement, summary: TaskSummary, value: float | None) -> tuple[Verdict, str]:
    if value is None:
        return "undecided", ""
    compare = OPERATORS[statement.operator]
    estimate = getattr(summary, statement.quantity, None)
    if not statement.end and isinstance(estimate, Estimate) and estimate.interval is not None:
        ends = [compare(end, statement.bar) for end in estimate.interval]
        low, high = estimate.interval
        if ends[0] != ends[1] or (low < statement.bar < high and not all(ends)):
            return "undecided", f"its interval, {low:.4g} to {high:.4g}, straddles the bar"
    return ("holds" if compare(value, statement.bar) else "fails"), ""


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
