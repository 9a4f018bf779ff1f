"""Rank intervals: between which places a detector's headline lies, as far as the intervals can tell.

A detector is surely behind those whose whole interval lies above its own, and surely ahead of those below it; two whose
intervals overlap cannot be told apart. That is the careful way: of two independent estimates with 95 % intervals that
do not touch, far fewer than 5 % are in the wrong order.
"""

from __future__ import annotations

from collections.abc import Mapping

from nharness.record.cautions import unranked_languages
from nharness.record.model import Record

FEWEST_CLUSTERS = 20


def eligible(record: Record) -> bool:
    """Tell whether a record may be ranked: its headline says so, its cells have 20 clusters, its tokens are known."""
    found = record.headline
    if found is None or not found.rank_eligible or found.estimate is None or found.estimate.interval is None:
        return False
    few = any("few_clusters" in cell.flags for cell in record.cells if cell.task == found.task)
    return not (few or unranked_languages(record))


def rank_intervals(intervals: Mapping[str, tuple[float, float]]) -> dict[str, tuple[int, int]]:
    """Return the first and last place that each name can have, from the interval of its value; more is better."""
    return {
        name: (
            1 + sum(other[0] > own[1] for other in intervals.values()),
            len(intervals) - sum(other[1] < own[0] for other in intervals.values()),
        )
        for name, own in intervals.items()
    }
