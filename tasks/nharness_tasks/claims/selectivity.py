"""Claims of the papers about the selectivity of a matrix of perplexities."""

from __future__ import annotations

from collections.abc import Sequence

from nharness.claims import Finding, NamedClaim, Verdict
from nharness.record.model import Record
from nharness_tasks.claims.verdicts import LEVEL, TASK, above, harming, in_every, whole

TANG = "Tang et al., ACL 2024, arXiv 2402.16438"


class OwnLanguageMost(NamedClaim):
    """Diagonal dominance."""

    name = "own-language-most"
    statement = "Deactivating a language's neurons harms that language more than the others."
    paper = TANG
    place = "section 4.2, figure 3"
    needs = "records of perplexity whose intervention does harm"

    def test(self, records: Sequence[Record]) -> Finding | None:
        """Return whether every selectivity is above 0, by its interval."""
        found = [(s.selectivity.value, r) for r, s in harming(records) if s.selectivity is not None]
        return in_every([record for _, record in sorted(found, key=lambda pair: pair[0])], whole(_selective))


def _selective(record: Record) -> Finding | None:
    summary = record.summary_of(TASK)
    if summary is None or summary.selectivity is None:
        return None
    rule = "selectivity above 0 in every record, by its interval"
    return above(summary.selectivity.value, summary.selectivity.interval, 0.0, name="selectivity", rule=rule)


class MoreThanRandom(NamedClaim):
    """Against random neurons of the same layers."""

    name = "more-than-random"
    statement = "Language-specific neurons are more selective than as many random neurons of the same layers."
    paper = TANG
    place = "section 4.2"
    needs = "records of perplexity with random controls, 20 draws or more to be decided"

    def test(self, records: Sequence[Record]) -> Finding | None:
        """Return whether every selectivity is above that of its random draws."""
        return in_every([record for record, _ in harming(records)], whole(_beside_random))


def _beside_random(record: Record) -> Finding | None:
    """Return whether the selectivity lies above that of random draws, p below 0.05, or below it, by the same measure.

    Where k of n draws reach it, p is (1 + k) / (1 + n), and p of less than random (1 + n - k) / (1 + n).
    """
    summary = record.summary_of(TASK)
    found = summary.control_selectivity if summary else None
    if found is None or found.p is None:
        return None
    least = 1 / (1 + found.draws)
    below = (found.effect or 0.0) < 0 and 1 + least - found.p < LEVEL
    verdict: Verdict = "holds" if found.p < LEVEL else "fails" if below else "undecided"
    rule = "p against random draws below 0.05 in every record; fails where p of less than random is"
    few = "; fewer than 20 draws decide nothing" if least >= LEVEL else ""
    return Finding(verdict, {"p": found.p, "draws": float(found.draws)}, f"{rule}{few}")
