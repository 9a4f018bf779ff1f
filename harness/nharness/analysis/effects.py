"""A task's matrix of effects: every target's change in every language, paired with the baseline, and jointly resampled.

Legend: `m` cells that could be computed, `C` clusters, `s` contrasts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nharness.analysis.bootstrap import ClusterBootstrap, Intervals, Totals
from nharness.analysis.measurements import Key, Measurement, Paired, pair
from nharness.analysis.significance import right_or_wrong
from nharness.record.cells import Target, Task
from nharness.record.results import AnalysisSettings
from nharness.record.sources import Purpose

Floats = NDArray[np.float64]
Place = tuple[str, str]


@dataclass(frozen=True)
class Aim:
    """What an intervention is for, which decides what is counted as its success.

    purpose: to harm a language, to steer towards one, to restore one. source: of a steering, the language whose neurons
    are switched off: its own row cannot move, and is in no mean.
    """

    purpose: Purpose = "harm"
    source: str | None = None


HARM = Aim()


@dataclass(frozen=True)
class Effects:
    """The cells of one task that have items, by (target, language), in the order of targets and the task's languages.

    A target without neurons has none here: it changes nothing, and its cells are `empty`, their effect exactly 0.
    """

    task: Task
    cells: Mapping[Place, Paired]
    empty: frozenset[Place]
    settings: AnalysisSettings
    aim: Aim = HARM

    @property
    def sign(self) -> float:
        """What turns a change into what the intervention is for.

        For harm 1 where lower is better and -1 where higher is; the opposite for steering and restoring, whose success
        is a gain.
        """
        harm = 1.0 if self.task.direction == "lower" else -1.0
        return harm if self.aim.purpose == "harm" else -harm

    def harm(self, place: Place) -> float | None:
        """Return a cell's harm, or gain where that is the aim, in the task's unit.

        0 for an empty target, None for a cell without items.
        """
        if place in self.empty:
            return 0.0
        return self.sign * self.cells[place].change if place in self.cells else None

    @cached_property
    def resamples(self) -> ClusterBootstrap | None:
        """The joint bootstrap of all cells, None when there is no cell."""
        if not self.cells:
            return None
        return ClusterBootstrap(
            totals_of(list(self.cells.values())),
            resamples=self.settings.bootstrap_draws,
            seed=self.settings.seed,
            level=self.settings.confidence,
            turn=1.0 if self.right_or_wrong else 0.0,
        )

    @cached_property
    def right_or_wrong(self) -> bool:
        """Whether every item of every cell is 0 or 1, before and after, and weighs 1."""
        return all(
            right_or_wrong(cell.before) and right_or_wrong(cell.after) and bool((cell.weight == 1).all())
            for cell in self.cells.values()
        )

    @cached_property
    def intervals(self) -> Intervals | None:
        """Intervals of the changes [m], in the order of `cells`."""
        return self.resamples.intervals() if self.resamples is not None else None

    def contrast(self, weights: Mapping[Place, float]) -> Floats:
        """Return one combination of harms as a column [m]; empty cells add nothing."""
        return np.array([self.sign * weights.get(place, 0.0) for place in self.cells], dtype=np.float64)


def effects_of(
    task: Task,
    targets: Sequence[Target],
    table: Mapping[Key, Measurement],
    settings: AnalysisSettings,
    aim: Aim = HARM,
) -> Effects:
    """Return the effects of one task; a cell that failed, or shares no item with its baseline, is left out."""
    cells: dict[Place, Paired] = {}
    empty: set[Place] = set()
    for target in targets:
        for language in task.languages:
            baseline = table.get((task.name, None, None, language))
            edited = table.get((task.name, target.name, None, language))
            if baseline is None:
                continue
            if target.neurons == 0:
                empty.add((target.name, language))
            elif edited is not None and (paired := pair(baseline, edited, task.metric)) is not None:
                cells[target.name, language] = paired
    return Effects(task, cells, frozenset(empty), settings, aim)


def totals_of(cells: Sequence[Paired]) -> Totals:
    """Return the sums per cluster of each cell, clusters in ascending order of their names."""
    names = sorted({name for cell in cells for name in cell.clusters})
    rows = {name: row for row, name in enumerate(names)}
    change, weight = np.zeros((len(names), len(cells))), np.zeros((len(names), len(cells)))
    for column, cell in enumerate(cells):
        at = np.array([rows[name] for name in cell.clusters])
        change[:, column] = np.bincount(at, weights=cell.after - cell.before, minlength=len(names))
        weight[:, column] = np.bincount(at, weights=cell.weight, minlength=len(names))
    return Totals(change, weight)
