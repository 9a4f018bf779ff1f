"""Claims about where in the depth neurons lie."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nharness.analysis.structure.section import ASSIGNED
from nharness.analysis.structure.stages import MARGIN, STAGES, explained, named, profile_of
from nharness.claims import Finding, NamedClaim
from nharness.record.model import Record
from nharness.record.structure import StructureMeasure
from nharness_tasks.claims.verdicts import LEVEL, in_every

FEWEST_LAYERS = 8


class ConcentratedAtEnds(NamedClaim):
    """Concentration in the first and in the last fifth of the depth."""

    name = "concentrated-at-both-ends"
    statement = "Language-specific neurons lie mostly in the first and in the last layers."
    paper = (
        "Tang et al., ACL 2024, arXiv 2402.16438; Kojima et al., NAACL 2024, arXiv 2404.02431; "
        "Zeng et al., COLING 2025, arXiv 2410.11718"
    )
    place = "abstracts"
    needs = "records with the section structure, of models of eight layers or more to be decided"

    def test(self, records: Sequence[Record]) -> Finding | None:
        """Return whether both ends hold more than their share of all neurons, and more than with layers reordered."""
        return in_every(records, _both_ends)


def _both_ends(record: Record) -> Finding | None:
    found = {name: _measure(record, f"concentration-{name}") for name in ("first", "last", "both-ends")}
    first, last, both = (found[name] for name in ("first", "last", "both-ends"))
    if first is None or last is None or both is None:
        return None
    numbers = {"share at both ends": both.value or 0.0, "first": first.value or 0.0, "last": last.value or 0.0}
    rule = "both ends above their share of all neurons, p of the layers in another order below 0.05"
    if len(record.model.layer_widths) < FEWEST_LAYERS:
        return Finding("undecided", numbers, f"{rule}; fewer than {FEWEST_LAYERS} layers cannot tell")
    more = all((end.value or 0.0) > (end.expected or 0.0) for end in (first, last))
    if more and (both.p or 0.0) < LEVEL:
        return Finding("holds", numbers, rule)
    fewer = any((end.p or 0.0) > 1 - LEVEL for end in (first, last))
    return Finding("fails" if fewer else "undecided", numbers, f"{rule}; fails where an end's p is above 0.95")


def _measure(record: Record, name: str) -> StructureMeasure | None:
    measures = record.structure.measures if record.structure else ()
    return next((each for each in measures if each.name == name and each.kind is None), None)


class FourStages(NamedClaim):
    """Four stages of the depth, by the rule of docs/structure.md."""

    name = "four-stages"
    statement = "The layers fall into four stages by the kinds of their neurons."
    paper = "Zhang et al., AAAI 2026, arXiv 2505.21505"
    needs = "records with the section structure, of models of eight layers or more to be decided"

    def test(self, records: Sequence[Record]) -> Finding | None:
        """Return whether four stages explain the layers of every record better than any simpler model."""
        return in_every(records, _stages)


def _stages(record: Record) -> Finding | None:
    """Return the finding of one record: four stages hold, fail clearly, or are as good as something simpler."""
    if record.structure is None:
        return None
    numbers = {"layers": float(len(record.model.layer_widths))}
    found = record.structure.stages
    if found is None:
        return Finding("undecided", numbers, "a model of fewer than eight layers has no room for four stages")
    rule = f"{found.best} explains the layers (BIC, docs/structure.md)"
    if found.found:
        certain = {f"certainty of border {n + 1}": b.certainty or 0.0 for n, b in enumerate(found.borders)}
        return Finding("holds", {**numbers, **certain}, rule)
    behind = four_behind(record)
    numbers["BIC of four stages above the lowest"] = behind
    rule = f"{rule}; fails where four stages are more than {MARGIN:g} above the lowest"
    return Finding("fails" if behind > MARGIN else "undecided", numbers, rule)


def four_behind(record: Record) -> float:
    """Return how far the BIC of four stages lies above the lowest; infinite where all layers are alike."""
    layers, widths = record.neurons.layers, record.model.layer_widths
    kinds = layers.kinds_all or layers.kinds_selected
    scores = explained(profile_of(np.array([kinds[kind] for kind in ASSIGNED]), widths), widths)
    return scores.get(named(len(STAGES)), math.inf) - min(scores.values())
