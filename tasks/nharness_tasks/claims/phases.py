"""The claim that a multilingual model works by way of English: the layers, read through the LM head."""

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
    """On text that is not English: neither language, then English, then the language itself."""

    name = "three-phases"
    statement = "Layers first say neither, then English, and only at the end the language of the text."
    paper = "Wendler et al., ACL 2024, arXiv 2402.10588"
    place = "section 4"
    needs = "records with lens measures under structure.recorded (--lens N), of eight layers or more to be decided"

    def test(self, records: Sequence[Record]) -> Finding | None:
        """Return whether the three phases follow each other in every record, by intervals over sources of text."""
        return in_every(records, phases)


def phases(record: Record) -> Finding | None:
    """Return what the layers say of text that is not English, as means over its languages; None if not recorded.

    1. In the first fifth of the layers, own language and English together have less than half of what they have at
       the end. The embedding itself is left out: through tied weights it predicts its own token.
    2. After it there is a layer at which English is ahead, and above what it had in that fifth. 3. At the end the own
       language is ahead. Each by intervals. It fails where the first layers have more than that half, where English is
       nowhere ahead by `CLEAR` and above what it had, or where the end is English.
    """
    lead, own, english = (layers_of(record, f"lens-{name}") for name in ("lead", "mean-own", "mean-english"))
    if not lead or len(lead) != len(own) or len(own) != len(english):
        return None
    start = max(1, round((len(lead) - 1) / 5)) + 1
    values = [each.value or 0.0 for each in lead]
    lowest = min(range(start, len(lead) - 1), key=values.__getitem__, default=0)
    told = [(o.value or 0.0) + (e.value or 0.0) for o, e in zip(own, english, strict=True)]
    numbers = {
        "lead of English at its largest": -values[lowest],
        "after layer": float(lowest),
        "lead of the own language at the end": values[-1],
        "told in the first fifth": max(told[1:start], default=0.0),
        "told at the end": told[-1],
    }
    rule = (
        "of text that is not English: own language and English below half of their final mass in the first fifth of "
        "the layers, then English ahead and above what it had there, then the own language, by intervals; a lead below "
        "0.02 is none"
    )
    if len(lead) < FEWEST_STATES:
        return Finding("undecided", numbers, f"{rule}; fewer than {FEWEST_STATES - 1} layers cannot tell")
    ends, masses = _ends(lead), _ends(english)
    both = [(o[0] + e[0], o[1] + e[1]) for o, e in zip(_ends(own), masses, strict=True)]
    had = max(low for low, _ in masses[1:start]), max(high for _, high in masses[1:start])
    later = list(zip(ends, masses, strict=True))[start:-1]
    ahead = [leads[1] < 0 and mass[0] > had[1] for leads, mass in later]
    quiet, loud = (
        all(first[1] < both[-1][0] / 2 for first in both[1:start]),
        any(first[0] > both[-1][1] / 2 for first in both[1:start]),
    )
    nowhere = all(leads[0] > -CLEAR or mass[1] < had[0] for leads, mass in later)
    holds = quiet and any(ahead) and ends[-1][0] > 0
    verdict: Verdict = "holds" if holds else "fails" if loud or nowhere or ends[-1][1] < 0 else "undecided"
    return Finding(verdict, numbers, rule, (-ends[lowest][1], -ends[lowest][0]))


def _ends(measures: Sequence[StructureMeasure]) -> list[Interval]:
    return [each.interval or (-math.inf, math.inf) for each in measures]
