"""The claim that a multilingual model goes by way of English: what the layers say, read through the LM head."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nharness.claims import Finding, NamedClaim, Verdict
from nharness.record.model import Record
from nharness.record.structure import StructureMeasure
from nharness_tasks.claims.meaning import layers_of
from nharness_tasks.claims.verdicts import Interval, in_every

CLEAR = 0.02
"""A lead of English smaller than this share of the probability is none."""
FEWEST_STATES = 9


class ThreePhases(NamedClaim):
    """Neither language, then English, then the language itself, of text that is not English."""

    name = "three-phases"
    statement = "Layers first say neither, then English, and only at the end the language of the text."
    paper = "Wendler et al., ACL 2024, arXiv 2402.10588"
    place = "section 4"
    needs = "records with lens measures under structure.recorded (--lens N), of eight layers or more to be decided"

    def test(self, records: Sequence[Record]) -> Finding | None:
        """Return whether the three phases follow each other in every record, by intervals over sources of text."""
        return in_every(records, phases)


def phases(record: Record) -> Finding | None:
    """Return what the layers say of text that is not English, as means over its languages; None where nobody asked.

    1. In the first fifth of the layers, own language and English together have less than half of what they have at the
       end. 2. After it there is a layer at which English is ahead, by the interval of the lead, and above its share in
       the first fifth. 3. At the end the own language is ahead. It fails where the end is not the own language's, where
       English is nowhere ahead by `CLEAR`, or where the first layers say as much as the last.
    """
    lead, own, english = (layers_of(record, f"lens-{name}") for name in ("lead", "mean-own", "mean-english"))
    if not lead or len(lead) != len(own) or len(own) != len(english):
        return None
    values = [each.value or 0.0 for each in lead]
    ends = [each.interval or (-math.inf, math.inf) for each in lead]
    start = max(1, round((len(lead) - 1) / 5)) + 1  # states of the first fifth, the embedding's among them
    told = [(o.value or 0.0) + (e.value or 0.0) for o, e in zip(own, english, strict=True)]
    lowest = min(range(start, len(lead) - 1), key=values.__getitem__, default=0)
    numbers = {
        "lead of English at its largest": -values[lowest],
        "after layer": float(lowest),
        "lead of the own language at the end": values[-1],
        "told in the first fifth": max(told[:start]),
        "told at the end": told[-1],
    }
    rule = (
        "of text that is not English: own language and English below half of their final mass in the first fifth of "
        "the layers, then English ahead, then the own language, by intervals; a lead below 0.02 is none"
    )
    if len(lead) < FEWEST_STATES:
        return Finding("undecided", numbers, f"{rule}; fewer than {FEWEST_STATES - 1} layers cannot tell")
    return Finding(_verdict(ends, start, told, english), numbers, rule, (-ends[lowest][1], -ends[lowest][0]))


def _verdict(
    ends: Sequence[Interval], start: int, told: Sequence[float], english: Sequence[StructureMeasure]
) -> Verdict:
    quiet = max(told[:start]) < told[-1] / 2
    before = max(each.value or 0.0 for each in english[:start])
    ahead = [
        high < 0 and (english[layer].value or 0.0) > before
        for layer, (_, high) in enumerate(ends)
        if start <= layer < len(ends) - 1
    ]
    if quiet and any(ahead) and ends[-1][0] > 0:
        return "holds"
    nowhere = all(low > -CLEAR for low, _ in ends[start:-1])
    return "fails" if nowhere or not quiet or ends[-1][1] < 0 else "undecided"
