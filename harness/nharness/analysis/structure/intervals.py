"""Intervals of concentration over the text that detection saw: detection repeated, without a second pass over a model.

Legend: `P` parts of one recording, each with other documents.

1. The bootstrap resamples the parts of every language with replacement, P of them, adds them up, detects again and
   counts again, 200 times. A part is whole sources, so that what varies from source to source is in it.
2. A share of n neurons goes in steps of 1 / n, and an interval of such shares holds its own ends, which are as likely
   as what lies within: it covers too often. So each draw is spread evenly over its own step (the middle distribution),
   and the interval holds the middle share of that.

On 200 simulated layouts of 16 parts the intervals cover what unlimited text would give in 96.3 of a hundred, without
the second step in 97.8. Basic and normal intervals do not: a detector that cuts at a rank is biased in every resample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from nharness.analysis.structure.layers import shares_at_ends
from nharness.analysis.structure.section import ASSIGNED, kind_layers
from nharness.detector import Evidence
from nharness.errors import UsageError
from nharness.neurons import Detection
from nharness.statistics import Merger, Statistics

FEWEST_PARTS = 8
DRAWS = 200
Place = tuple[str, str | None]


def together(parts: Sequence[Statistics]) -> Statistics:
    """Return the parts added up; raises `UsageError` for parts of two models, sites or ways of recording."""
    merger = Merger()
    for part in parts:
        merger.add(part)
    return merger.result()


def concentration_intervals(
    parts: Sequence[Statistics], detect: Callable[[Evidence], Detection], *, seed: int, confidence: float = 0.95
) -> dict[Place, tuple[float, float]]:
    """Return intervals of concentration by the name of the measure and the kind of neuron.

    Raises `UsageError` for fewer than eight parts.
    """
    if len(parts) < FEWEST_PARTS:
        raise UsageError(
            f"{len(parts)} parts are too few for intervals, which need {FEWEST_PARTS} or more, "
            f"from nharness record --parts {2 * FEWEST_PARTS}"
        )
    rng = np.random.default_rng(seed)
    split = [[_of_language(part, tag) for part in parts] for tag in parts[0].languages]
    drawn: dict[Place, list[float]] = {}
    for _ in range(DRAWS):
        merger = Merger()
        for tables in split:
            for place in rng.integers(0, len(parts), len(parts)):
                merger.add(tables[place])
        for place, (share, step) in _stepped(detect(Evidence({parts[0].site: merger.result()}))).items():
            drawn.setdefault(place, []).append(share + step * (rng.random() - 0.5))
    tail = (1 - confidence) / 2
    ends = {place: np.quantile(shares, [tail, 1 - tail]) for place, shares in drawn.items() if len(shares) == DRAWS}
    return {place: (max(0.0, float(low)), min(1.0, float(high))) for place, (low, high) in ends.items()}


def _of_language(table: Statistics, tag: str) -> Statistics:
    tensors = {name: tensor for name, tensor in table.tensors.items() if name.rpartition("/")[2] == tag}
    return replace(table, totals={tag: table.totals[tag]}, tensors=tensors)


def concentrations(detection: Detection) -> dict[Place, float]:
    """Return the share of each kind's neurons at both ends of the depth, named as measures of a record are."""
    return {place: share for place, (share, _) in _stepped(detection).items()}


def _stepped(detection: Detection) -> dict[Place, tuple[float, float]]:
    """Return every share with the step that one neuron of its set makes."""
    found: dict[Place, tuple[float, float]] = {}
    for everything in (False, True) if detection.candidates is not None else (False,):
        layers = kind_layers(detection, everything=everything)
        for kind, counts in zip((None, *ASSIGNED), (layers.sum(axis=0), *layers), strict=True):
            suffix = "-all" if everything else ""
            shares = shares_at_ends(counts)
            found |= {
                (f"concentration-{name}{suffix}", kind): (share, 1 / int(counts.sum()))
                for name, share in shares.items()
            }
    return found
