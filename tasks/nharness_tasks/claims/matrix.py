"""Claims of the papers that a matrix of perplexities can bear out or not."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from nharness.claims import Finding, NamedClaim, Verdict
from nharness.record.model import Record
from nharness.record.results import RowSummary, TaskSummary
from nharness.record.types import Estimate
from nharness_tasks.claims.verdicts import TASK, above, all_above, harming, in_every, measured, whole

FEW = 0.01


class FewSuffice(NamedClaim):
    """At the smallest dose there is."""

    name = "few-neurons-suffice"
    statement = "Deactivating a small share of all neurons, those of a language, harms it, and others less."
    paper = "Tang et al., ACL 2024, arXiv 2402.16438"
    place = "abstract"
    needs = "records of perplexity with a budget of at most 0.01 of all neurons per language"

    def test(self, records: Sequence[Record]) -> Finding | None:
        """Return whether own harm, and what of it others are spared, are above 0 at the smallest budget, by intervals.

        Harm alone would not do: neurons at random harm a language too. Of each model, corpus, set of languages and
        detector the smallest budget.
        """
        small = [(r, s) for r, s in harming(records) if r.selection.budget is not None and r.selection.budget <= FEW]
        least: dict[tuple[str, ...], tuple[Record, TaskSummary]] = {}
        for record, summary in sorted(small, key=lambda pair: pair[0].selection.budget or 0.0):
            least.setdefault((*_ground(record), record.detector.name), (record, summary))
        summaries = {id(record): summary for record, summary in least.values()}

        def judge(record: Record) -> Finding | None:
            rule = f"own harm and selectivity at a budget of {record.selection.budget:g} above 0, by their intervals"
            own, more = summaries[id(record)].on_target, summaries[id(record)].selectivity
            if own is None or more is None:
                return None
            numbers = {"own harm": (own.value, own.interval), "selectivity": (more.value, more.interval)}
            return all_above(numbers, 0.0, rule=rule)

        return in_every([record for record, _ in least.values()], whole(judge))


class EnglishLeast(NamedClaim):
    """English against the mean of the others, each relative to its intact value."""

    name = "english-least"
    statement = "English is harmed least by the deactivation of its own neurons."
    paper = "Tang et al., ACL 2024, arXiv 2402.16438"
    needs = "records of perplexity with English among three languages or more; at equal budget where one is given"

    def test(self, records: Sequence[Record]) -> Finding | None:
        """Return whether English's interval lies below those of the others' mean, in every record."""
        return in_every([record for record, _ in harming(records)], whole(_english))


def _english(record: Record) -> Finding | None:
    summary = record.summary_of(TASK)
    intact = {b.language: b.value for b in record.baseline if b.task == TASK and b.value}
    rows = [row for row in summary.rows if row.language in intact and row.on_target] if summary else []
    english = [row for row in rows if row.language == "en"]
    others = [row for row in rows if row.language != "en"]
    if not english or len(others) < 2:
        return None
    own, low, high = _relative(english[0], intact["en"])
    relative = [_relative(row, intact[row.language]) for row in others]
    mean, mean_low, mean_high = (fmean(each) for each in zip(*relative, strict=True))
    numbers = {"English": own, "mean of the others": mean}
    budget = "" if record.selection.budget is None else f" at an equal budget of {record.selection.budget:g}"
    rule = f"own harm as a share of the intact value{budget}: English's interval below the others' mean one"
    verdict: Verdict = "holds" if high < mean_low else "fails" if low > mean_high else "undecided"
    return Finding(verdict, numbers, rule, (low, high))


def _relative(row: RowSummary, intact: float) -> tuple[float, float, float]:
    """Return own harm and its ends relative to the intact value; infinite ends without an interval."""
    own = row.on_target or Estimate(value=0.0)
    low, high = own.interval or (float("-inf"), float("inf"))
    return own.value / intact, low / intact, high / intact


class RelatedAddHarm(NamedClaim):
    """Specific and related neurons against specific ones alone."""

    name = "related-add-harm"
    statement = "Deactivating language-related neurons too harms a language more than its specific neurons alone."
    paper = "Zhang et al., AAAI 2026, arXiv 2505.21505"
    needs = (
        "records of kinds specific and of kinds specific, related, of one model, detector, corpus and set of languages"
    )

    def test(self, records: Sequence[Record]) -> Finding | None:
        """Return whether own harm of both kinds lies above that of specific ones, the intervals apart."""
        both = {_set(r): (r, s) for r, s in _of_kinds(records, {"specific", "related"})}
        alone = [(r, s) for r, s in _of_kinds(records, {"specific"}) if _set(r) in both]

        def judge(record: Record) -> Finding | None:
            one, (beside, other) = record.summary_of(TASK), both[_set(record)]
            if one is None or one.on_target is None or other.on_target is None:
                return None
            ends = [each.on_target.interval for each in (one, other) if each.on_target]
            gap = other.on_target.value - one.on_target.value
            interval = (ends[1][0] - ends[0][1], ends[1][1] - ends[0][0]) if ends[0] and ends[1] else None
            rule = "own harm of both kinds less that of specific ones above 0, at the far ends of both intervals"
            return measured(above(gap, interval, 0.0, name="difference in own harm", rule=rule), record, beside)

        return in_every([record for record, _ in alone], judge)


class GeneralHarmAll(NamedClaim):
    """General neurons against every language."""

    name = "general-harm-all"
    statement = "Deactivating language-agnostic neurons harms every language."
    paper = "Zhang et al., AAAI 2026, arXiv 2505.21505"
    needs = "records of kind general"

    def test(self, records: Sequence[Record]) -> Finding | None:
        """Return whether every cell of every record is harmed, by its interval."""
        return in_every([r for r, _ in _of_kinds(records, {"general"})], whole(_every_cell))


def _every_cell(record: Record) -> Finding | None:
    cells = [cell for cell in record.cells if cell.task == TASK and cell.change is not None]
    if not cells:
        return None
    intervals = [cell.interval or (float("-inf"), float("inf")) for cell in cells]
    if any(cell.change == 0 and "empty_target" in cell.flags for cell in cells):
        return Finding("undecided", {"general neurons": 0.0}, "no neuron is general, so there is none to deactivate")
    rule = "every language's change above 0, by its interval"
    numbers = {"least change": min(cell.change or 0.0 for cell in cells)}
    ends = min(low for low, _ in intervals), min(high for _, high in intervals)
    verdict: Verdict = "holds" if ends[0] > 0 else "fails" if ends[1] < 0 else "undecided"
    return Finding(verdict, numbers, rule, ends)


class StrongerThanLape(NamedClaim):
    """Another detector's selectivity against LAPE's, on the same model."""

    name = "more-selective-than-lape"
    statement = "The method's neurons harm their own language, and not others, more than LAPE's do."
    paper = "Kim et al., EMNLP 2026, arXiv 2609.10993; Le and Li 2026, arXiv 2601.04664"
    needs = "records of lape and of another detector on one model, corpus and set of languages, at one budget"

    def test(self, records: Sequence[Record]) -> Finding | None:
        """Return whether every other detector's selectivity lies above LAPE's, the intervals apart."""
        lape = {_dose(record): (record, s) for record, s in harming(records) if record.detector.name == "lape"}
        others = [r for r, _ in harming(records) if r.detector.name != "lape" and _dose(r) in lape]

        def judge(record: Record) -> Finding | None:
            mine, (beside, theirs) = record.summary_of(TASK), lape[_dose(record)]
            if mine is None or mine.selectivity is None or theirs.selectivity is None:
                return None
            ends = mine.selectivity.interval, theirs.selectivity.interval
            interval = (ends[0][0] - ends[1][1], ends[0][1] - ends[1][0]) if ends[0] and ends[1] else None
            gap = mine.selectivity.value - theirs.selectivity.value
            rule = "selectivity less LAPE's above 0, at the far ends of both intervals"
            return measured(above(gap, interval, 0.0, name="difference in selectivity", rule=rule), record, beside)

        return in_every(others, judge)


def _ground(record: Record) -> tuple[str, ...]:
    """Return what records share that differ in their neurons alone: model, text, languages."""
    return record.model.name, record.model.fingerprint, record.corpus.fingerprint, *sorted(record.languages)


def _dose(record: Record) -> tuple[object, ...]:
    return _ground(record), record.selection.budget


def _set(record: Record) -> tuple[object, ...]:
    return _dose(record), record.detector.name


def _of_kinds(records: Sequence[Record], kinds: set[str]) -> list[tuple[Record, TaskSummary]]:
    return [(record, summary) for record, summary in harming(records) if set(record.selection.kinds) == kinds]
