"""The kept share: how much of the harm stays in a language that was made H worse.

Legend: `P` rungs of a ladder, `G` languages, `C` clusters, `B` resamples, `R` repeats of the detection.

For target t and its best n units, harm is a share of the intact model's bits: `o(n)` in the language itself, `x(n)` the
signed mean over the others. At the first n at which o reaches H (linear between neighbouring rungs; 0 units do 0):

    K = clip(1 - max(0, x) / H, 0, 1)

1: all of the harm stays in the language; 0: the others suffer as much. Where no rung reaches H, K is read at the
largest o, `K = clip((o - max(0, x)) / H, 0, 1)`, and flagged `not_reached`: half of the harm wanted can show half of
the share at best. Where the own harm at that rung is no more than noise (its paired interval) or than what random
draws of as many units do, K = 0, flagged `no_effect`. The headline is the mean over languages. Nothing that breaks
every language alike can raise it, whatever it costs the own one; idle units do not lower it, and `units` shows them.

Why H is 10 % and why this measure: `tests/bench/bench_headline.py` holds it and its rivals against detections of known
purity (docs/evaluation.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nharness.analysis.ladder import LEVEL
from nharness.analysis.measurements import Paired
from nharness.errors import UsageError

Floats = NDArray[np.float64]
NOT_REACHED, NO_EFFECT = "not_reached", "no_effect"


@dataclass(frozen=True)
class Climb:
    """What a ladder measured of one target.

    units: switched off at each rung [P], rising. languages: its own first [G]. change, base: bits by cluster, edited
    minus intact [P, G, C] and intact [G, C]; 0 where a cluster is not of a language. clusters: their names [C].
    """

    language: str
    units: tuple[int, ...]
    languages: tuple[str, ...]
    change: Floats
    base: Floats
    clusters: tuple[str, ...]

    def __post_init__(self) -> None:
        size = len(self.units), len(self.languages), len(self.clusters)
        if self.change.shape != size or self.base.shape != size[1:] or list(self.units) != sorted(set(self.units)):
            raise UsageError(f"a climb of {self.language} has rungs {self.units} and arrays {self.change.shape}")
        if len(self.languages) < 2 or self.languages[0] != self.language or not self.units:
            raise UsageError(f"a climb compares {self.language} with other languages; got {', '.join(self.languages)}")

    @classmethod
    def of(cls, language: str, rungs: Mapping[int, Mapping[str, Paired]]) -> Climb:
        """Return the climb of rungs by number of units, each with its cells by language, on the items all rungs have.

        A language that a rung lacks is left out. Raises `UsageError` when the own one is lacking, or has no others.
        """
        units = tuple(sorted(rungs))
        held = set.intersection(*(set(cells) for cells in rungs.values())) if rungs else set()
        if language not in held:
            raise UsageError(f"a rung of {language} was not measured in {language} itself")
        languages = (language, *sorted(held - {language}))
        cells = {tag: _common([rungs[n][tag] for n in units]) for tag in languages}
        names = sorted({name for found in cells.values() for name in found[0].clusters})
        rows = {name: row for row, name in enumerate(names)}
        change = np.zeros((len(units), len(languages), len(names)))
        base = np.zeros(change.shape[1:])
        for column, tag in enumerate(languages):
            at = np.array([rows[name] for name in cells[tag][0].clusters])
            base[column] = np.bincount(at, weights=cells[tag][0].before, minlength=len(names))
            for rung, cell in enumerate(cells[tag]):
                change[rung, column] = np.bincount(at, weights=cell.after - cell.before, minlength=len(names))
        return cls(language, units, languages, change, base, tuple(names))

    def harms(self, counts: Floats | None = None) -> Floats:
        """Return every language's harm at every rung, [P, G], or [B, P, G] under resampled clusters [B, C]."""
        if counts is None:
            return np.asarray(self.change.sum(axis=2) / self.base.sum(axis=1), dtype=np.float64)
        rungs, languages, clusters = self.change.shape
        top = (counts @ self.change.reshape(-1, clusters).T).reshape(-1, rungs, languages)
        bottom = counts @ self.base.T
        return top / np.where(bottom > 0, bottom, np.nan)[:, None, :]

    @cached_property
    def fewest_clusters(self) -> int:
        """Clusters of the language that has fewest."""
        return int((self.base > 0).sum(axis=1).min())


@dataclass(frozen=True)
class LadderReading:
    """Where a ladder is read at one level of harm, for one matrix of harms or for B of them.

    kept: K. own, others: harm there, the others' as their signed mean. reached: whether the level is. upper: the rung
    read, or the upper one of the two between which it lies; read: own harm at that rung itself; share: how far the
    level lies from the rung below to it. languages: each other language's harm [.., G - 1].
    """

    kept: Floats
    own: Floats
    others: Floats
    reached: NDArray[np.bool_]
    upper: NDArray[np.int64]
    read: Floats
    share: Floats
    languages: Floats


def read_ladder(harms: Floats, level: float = LEVEL) -> LadderReading:
    """Return the reading of harms [.., P, G] at a level; the own language is the first of G."""
    own = harms[..., 0]
    at = own >= level
    reached = np.asarray(at.any(axis=-1))
    upper = np.where(reached, at.argmax(axis=-1), own.argmax(axis=-1))
    there = _rung(harms, upper)
    before = np.where((upper > 0)[..., None], _rung(harms, np.maximum(upper - 1, 0)), 0.0)
    step = there[..., 0] - before[..., 0]
    share = np.where(reached, (level - before[..., 0]) / np.where(step > 0, step, 1.0), 1.0)
    found = before + share[..., None] * (there - before)
    others = found[..., 1:].mean(axis=-1)
    leaked = np.maximum(0.0, others)
    kept = np.clip((np.where(reached, level, found[..., 0]) - leaked) / level, 0.0, 1.0)
    return LadderReading(kept, found[..., 0], others, reached, upper, there[..., 0], share, found[..., 1:])


def _rung(harms: Floats, at: NDArray[np.int64]) -> Floats:
    return np.take_along_axis(harms, at[..., None, None], axis=-2)[..., 0, :]


def _common(cells: Sequence[Paired]) -> list[Paired]:
    """Return cells of one language on the items that all of them have."""
    ids = frozenset(cells[0].ids).intersection(*(cell.ids for cell in cells))
    if not ids:
        raise UsageError("the rungs of a ladder share no item")
    found = [cell.only(ids) for cell in cells]
    if any(not np.array_equal(cell.before, found[0].before) for cell in found):
        raise UsageError("the rungs of a ladder were not measured against one baseline")
    return found
