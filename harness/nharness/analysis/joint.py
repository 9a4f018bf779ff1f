"""Several matrices of effects under one resampling: how far apart their scores are, whichever two are compared.

Legend: `N` sides (records), `m` cells of all sides, `C` clusters, `P` pairs.

A score is a linear combination of a side's cells, such as its selectivity. All sides' cells are resampled together
(bootstrap.py): the same clusters in every side and, where a corpus is parallel, in every language, so that what two
sides share falls out of their difference and what languages share is not counted as independent.
The settings are the same everywhere, so that the command line and the board give one number for one pair.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nharness.analysis.bootstrap import ClusterBootstrap, Intervals
from nharness.analysis.effects import Effects, Place, totals_of
from nharness.record.results import AnalysisSettings

Floats = NDArray[np.float64]
SETTINGS = AnalysisSettings(bootstrap_draws=2000, seed=0, confidence=0.95)
_PAIRS_AT_ONCE = 500


@dataclass(frozen=True)
class Side:
    """One matrix of effects, and what its score is made of: weights of harms by (target, language)."""

    effects: Effects
    weights: Mapping[Place, float]

    @property
    def score(self) -> float:
        """The weighted sum of harms, in the task's unit."""
        return float(sum(weight * (self.effects.harm(place) or 0.0) for place, weight in self.weights.items()))

    @property
    def places(self) -> tuple[Place, ...]:
        """The cells that the score is made of; those of targets without neurons change nothing and are left out."""
        return tuple(place for place in self.effects.cells if self.weights.get(place, 0.0))

    def text(self) -> str:
        """Return a digest of the items behind the score: two sides of one text are compared item by item."""
        digest = hashlib.sha256()
        seen: set[str] = set()
        for place in self.places:
            cell = self.effects.cells[place]
            order = sorted(range(len(cell.ids)), key=cell.ids.__getitem__)
            items = repr([place[1], *((cell.ids[i], cell.clusters[i], float(cell.weight[i])) for i in order)])
            seen.add(hashlib.sha256(items.encode("utf-8", "surrogatepass")).hexdigest())
        digest.update("".join(sorted(seen)).encode())
        return digest.hexdigest()[:16]


def score_differences(sides: Sequence[Side], pairs: Sequence[tuple[int, int]]) -> Iterator[Intervals]:
    """Yield the differences of scores, first minus second, of some hundred pairs at a time, each interval by itself.

    Nothing for sides without a cell.
    """
    found = _resampled(sides)
    if found is None:
        return
    bootstrap, scores = found
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):
        part = pairs[start : start + _PAIRS_AT_ONCE]
        yield bootstrap.intervals(_contrasts(scores, part))


def _contrasts(scores: Floats, pairs: Sequence[tuple[int, int]]) -> Floats:
    first, second = (scores[:, [pair[side] for pair in pairs]] for side in (0, 1))
    return np.asarray(first - second, dtype=np.float64)


def _resampled(sides: Sequence[Side]) -> tuple[ClusterBootstrap, Floats] | None:
    """Return the joint bootstrap of all sides' cells, and every side's score as a contrast of them [m, N]."""
    held = [side.places for side in sides]
    cells = [side.effects.cells[place] for side, places in zip(sides, held, strict=True) for place in places]
    if not cells:
        return None
    scores = np.zeros((len(cells), len(sides)))
    start = 0
    for number, (side, places) in enumerate(zip(sides, held, strict=True)):
        weights = [side.effects.sign * side.weights[place] for place in places]
        scores[start : start + len(places), number] = weights
        start += len(places)
    rule = SETTINGS
    bootstrap = ClusterBootstrap(
        totals_of(cells), resamples=rule.bootstrap_draws, seed=rule.seed, level=rule.confidence
    )
    return bootstrap, scores
