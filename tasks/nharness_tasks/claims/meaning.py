"""Claims about where languages meet: mean cosines of parallel sentences, and how they grow."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from nharness.claims import Finding, NamedClaim, Verdict
from nharness.record.model import Record
from nharness.record.structure import StructureMeasure
from nharness_tasks.claims.verdicts import Interval, above, in_every, state

ZENG = "Zeng et al., COLING 2025, arXiv 2410.11718"
RECORDED = "the numbers lrds and sads under structure.recorded (a detector that records document_mean, parallel text)"


def measure(record: Record, name: str, layer: int | None = None) -> StructureMeasure | None:
    """Return a record's measure of that name over all languages, of the whole model or of one layer."""
    held = record.structure.recorded if record.structure else ()
    return next((m for m in held if (m.name, m.layer, m.languages) == (name, layer, ())), None)


def layers_of(record: Record, name: str) -> list[StructureMeasure]:
    """Return a record's measures of that name over all languages, layer by layer."""
    held = record.structure.recorded if record.structure else ()
    found = [m for m in held if m.name == name and m.layer is not None and not m.languages]
    return sorted(found, key=lambda each: each.layer or 0)


class LanguageDrawsTogether(NamedClaim):
    """LRDS of the whole model."""

    name = "language-draws-together"
    statement = "Sentences of one language lie closer together than sentences of different languages (LRDS above 0)."
    paper = ZENG
    needs = f"records with {RECORDED}"

    def test(self, records: Sequence[Record]) -> Finding | None:
        """Return whether LRDS is above 0 in every record that has it, by its interval over sentences."""
        return in_every(records, _apart)


def _apart(record: Record) -> Finding | None:
    found = measure(record, "lrds")
    if found is None or found.value is None:
        return None
    return above(found.value, found.interval, 0.0, name="LRDS", rule="LRDS of the whole model above 0, by its interval")


class MeaningDrawsTogether(NamedClaim):
    """SADS of every layer of the middle third."""

    name = "meaning-draws-together-in-the-middle"
    statement = "In the middle layers translations lie closer together than other sentences do (SADS above 0)."
    paper = ZENG
    needs = f"records with {RECORDED}"

    def test(self, records: Sequence[Record]) -> Finding | None:
        """Return whether SADS is above 0 in every layer of the middle third, in every record that has it."""
        return in_every(records, _middle)


def _middle(record: Record) -> Finding | None:
    layers = layers_of(record, "sads")
    third = len(layers) // 3
    middle = layers[third : len(layers) - third]
    if not middle:
        return None
    values = [each.value or 0.0 for each in middle]
    ends = [each.interval or (-math.inf, math.inf) for each in middle]
    low, high = min(low for low, _ in ends), min(high for _, high in ends)
    verdict: Verdict = "holds" if low > 0 else "fails" if high < 0 else "undecided"
    rule = "SADS above 0 in every layer of the middle third, by its interval"
    return Finding(verdict, {"least SADS": min(values)}, rule, (low, high))


class AlignmentGrowsWithTraining(NamedClaim):
    """SADS along the states of a model's training."""

    name = "alignment-grows-with-training"
    statement = "The longer a model is trained, the closer translations lie together (SADS grows)."
    paper = ZENG
    place = "abstract"
    needs = f"records of two or more states of one model, in the order of the study, with {RECORDED}"

    def test(self, records: Sequence[Record]) -> Finding | None:
        """Return whether SADS of the last state is above that of the first, with disjoint intervals."""
        ordered = _first_of_models(records)
        depth = ordered[0].model.layer_widths if ordered else ()
        return _growth([record for record in ordered if record.model.layer_widths == depth], "of the last state")


class AlignmentGrowsWithSize(NamedClaim):
    """SADS along the sizes of a family of models."""

    name = "alignment-grows-with-size"
    statement = "The larger a model of a family, the closer translations lie together (SADS grows)."
    paper = ZENG
    place = "abstract"
    needs = f"records of two or more sizes of one family (names alike up to the first dash), with {RECORDED}"

    def test(self, records: Sequence[Record]) -> Finding | None:
        """Return whether SADS of the largest model is above that of the smallest, with disjoint intervals.

        Of several models of one size, states of one training, the last counts.
        """
        ordered = sorted(_first_of_models(records), key=lambda record: record.model.parameters)
        family = [record for record in ordered if _family(record) == _family(ordered[0])]
        sizes = {record.model.parameters: record for record in family}
        return _growth([sizes[size] for size in sorted(sizes)], "of the largest model")


def _family(record: Record) -> str:
    return record.model.name.rpartition("/")[2].partition("-")[0]


def _first_of_models(records: Iterable[Record]) -> list[Record]:
    """Return the first record of each model that has SADS, models in the order of their records."""
    first: dict[str, Record] = {}
    for record in records:
        if measure(record, "sads") is not None:
            first.setdefault(state(record), record)
    return list(first.values())


def _growth(ordered: Sequence[Record], what: str) -> Finding | None:
    """Return whether SADS grows from the first record to the last; None for fewer than two."""
    found = [each for record in ordered if (each := measure(record, "sads")) is not None and each.value is not None]
    if len(found) < 2:
        return None
    first, last = found[0], found[-1]
    gap = (last.value or 0.0) - (first.value or 0.0)
    names = state(ordered[-1]), state(ordered[0])
    rule = f"SADS {what} ({names[0]}) less that of {names[1]} above 0, far ends of both intervals"
    result = above(gap, _apart_by(first.interval, last.interval), 0.0, name="growth of SADS", rule=rule)
    steps = {f"SADS of {state(record)}": each.value or 0.0 for record, each in zip(ordered, found, strict=True)}
    return Finding(result.verdict, {**result.numbers, **steps}, rule, result.interval)


def _apart_by(first: Interval | None, last: Interval | None) -> Interval | None:
    return (last[0] - first[1], last[1] - first[0]) if first and last else None
