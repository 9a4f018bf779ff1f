"""Claims of the papers that a matrix of perplexities can bear out or not."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

from nharness.claims import Finding, NamedClaim, Verdict
from nharness.record.model import Record
from nharness.record.results import ControlSelectivity, TaskSummary
from nharness.record.types import Estimate
from nharness_tasks.claims.verdicts import LEVEL, TASK

Number = TypeVar("Number")


class OfEveryMatrix(NamedClaim, Generic[Number]):
    """A claim on one number of the matrix of every record whose intervention does harm."""

    paper = "Tang et al., ACL 2024, arXiv 2402.16438"

    def test(self, records: Sequence[Record]) -> Finding | None:
        """Return what the numbers of all records say; None where no record has one."""
        harming = [record for record in records if record.intervention.purpose == "harm"]
        summaries = [summary for record in harming for summary in record.summary if summary.task == TASK]
        found = [number for summary in summaries if (number := self.number(summary)) is not None]
        return self.found(found) if found else None

    @abstractmethod
    def number(self, summary: TaskSummary) -> Number | None:
        """Return the number that the claim is about."""

    @abstractmethod
    def found(self, numbers: Sequence[Number]) -> Finding:
        """Return the finding; one record against the claim is enough."""


class OwnLanguageMost(OfEveryMatrix[Estimate]):
    """Diagonal dominance."""

    name = "own-language-most"
    statement = "Deactivating a language's neurons harms that language more than the others."
    place = "section 4.2, figure 3"
    needs = "records of perplexity whose intervention does harm"

    def number(self, summary: TaskSummary) -> Estimate | None:
        """Return the selectivity."""
        return summary.selectivity

    def found(self, numbers: Sequence[Estimate]) -> Finding:
        """Return whether every selectivity is above 0, by its interval."""
        lows, highs = zip(*(each.interval or (float("-inf"), float("inf")) for each in numbers), strict=True)
        verdict: Verdict = "fails" if min(highs) < 0 else "holds" if min(lows) > 0 else "undecided"
        least = {"least selectivity": min(each.value for each in numbers)}
        rule = "selectivity above 0 in every record, by its interval"
        return Finding(verdict, least, rule, (min(lows), min(highs)))


class MoreThanRandom(OfEveryMatrix[ControlSelectivity]):
    """Against random neurons of the same layers."""

    name = "more-than-random"
    statement = "Language-specific neurons do more than as many random neurons of the same layers."
    place = "section 4.2"
    needs = "records of perplexity with random controls, 20 draws or more to be decided"

    def number(self, summary: TaskSummary) -> ControlSelectivity | None:
        """Return the selectivity of random neurons."""
        return summary.control_selectivity

    def found(self, numbers: Sequence[ControlSelectivity]) -> Finding:
        """Return whether every selectivity is above that of its random draws, p below 0.05."""
        worst = max(each.p if each.p is not None else 1.0 for each in numbers)
        fewest = min(each.draws for each in numbers)
        holds = worst < LEVEL and all((each.effect or 0.0) > 0 for each in numbers)
        verdict: Verdict = "holds" if holds else "fails" if fewest + 1 >= 1 / LEVEL else "undecided"
        rule = "p against random draws below 0.05 in every record; undecided below 20 draws"
        return Finding(verdict, {"largest p": worst, "fewest draws": float(fewest)}, rule)
