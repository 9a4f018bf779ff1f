"""Claims of the papers that a matrix of perplexities can bear out or not."""

from __future__ import annotations

from collections.abc import Sequence

from nharness.claims import Finding, NamedClaim
from nharness.record.model import Record
from nharness.record.results import TaskSummary

TASK = "ppl"
LEVEL = 0.05


class OwnLanguageMost(NamedClaim):
    """Diagonal dominance, over all records that deactivate neurons."""

    name = "own-language-most"
    statement = "Deactivating a language's neurons harms that language more than the others."
    paper = "Tang et al., ACL 2024, arXiv 2402.16438"
    place = "section 4.2, figure 3"
    needs = "records of perplexity whose intervention does harm"

    def test(self, records: Sequence[Record]) -> Finding | None:
        """Return whether the selectivity of every record is above 0, by its interval."""
        found = [summary.selectivity for summary in _harmed(records) if summary.selectivity is not None]
        if not found:
            return None
        rule = "selectivity above 0 in every record, by its interval"
        lows, highs = zip(*(each.interval or (float("-inf"), float("inf")) for each in found), strict=True)
        numbers = {"least selectivity": min(each.value for each in found)}
        if min(highs) < 0:
            return Finding("fails", numbers, rule)
        return Finding("holds" if min(lows) > 0 else "undecided", numbers, rule)


class MoreThanRandom(NamedClaim):
    """Against random neurons of the same layers, over all records that have them."""

    name = "more-than-random"
    statement = "Language-specific neurons are told from as many random neurons of the same layers."
    paper = "Tang et al., ACL 2024, arXiv 2402.16438"
    place = "section 4.2"
    needs = "records of perplexity with random controls, 20 draws or more to be decided"

    def test(self, records: Sequence[Record]) -> Finding | None:
        """Return whether every record's selectivity is above that of its random draws, p below 0.05."""
        found = [s.control_selectivity for s in _harmed(records) if s.control_selectivity is not None]
        if not found:
            return None
        rule = "p against random draws below 0.05 in every record; undecided below 20 draws"
        worst = max(each.p if each.p is not None else 1.0 for each in found)
        numbers = {"largest p": worst, "fewest draws": float(min(each.draws for each in found))}
        if worst < LEVEL and all((each.effect or 0.0) > 0 for each in found):
            return Finding("holds", numbers, rule)
        told = all(each.draws + 1 >= 1 / LEVEL for each in found)
        return Finding("fails" if told else "undecided", numbers, rule)


def _harmed(records: Sequence[Record]) -> list[TaskSummary]:
    chosen = [record for record in records if record.intervention.purpose == "harm"]
    return [summary for record in chosen for summary in record.summary if summary.task == TASK]
