"""The ladders of a run: how much of each detector's list has to be switched off to make a language so much worse.

1. Every target climbs a ladder of its own (`nharness.analysis.ladder`): its best 1, 2, 4, ... neurons are switched off
   and its own language is measured, until it is hurt enough; then the step in which it came to be is halved.
2. So does every repeat of the detection, from where the whole was read.
3. The other languages are measured at the rungs between which a level of harm lies: nowhere else is anything read.
4. Where a ladder is read, random draws of as many neurons are measured in the target's own language, and once the same
   neurons without the one that a first-order estimate holds for the strongest (`hinges.py`).

All ladders take a step together, so that its cells can be evaluated side by side. What comes next is a function of what
was measured, and every cell is in the store: a killed run goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from nharness.analysis.ladder import AROUND, LEVEL, LEVELS, REPEATED_FINE, Ladder, rung_read
from nharness.cells import Cell, CellOutcome, Edition
from nharness.evaluation.items import bits_per_byte
from nharness.events import StageFinished, StageStarted
from nharness.neurons import Detection
from nharness.run.context import RunContext
from nharness.run.stages.editions import Editions
from nharness.run.stages.evaluate import Evaluated, Evaluation
from nharness.run.stages.hinges import strongest_first
from nharness.targets import RungName

STAGE = "climb"
Points = dict[int, float]


@dataclass(frozen=True)
class Climber:
    """Whose ladder it is: a detector's list for a language, what is done to its neurons, and the task that measures.

    repeat: the number of the detection's repeat; None for the detection itself.
    """

    detector: str
    language: str
    intervention: str
    strength: float | None
    task: str
    repeat: int | None = None

    def cell(self, units: int, language: str, control: int | None = None, without: int | None = None) -> Cell:
        """Return the cell of a rung in one language."""
        target = str(RungName(self.language, units, self.repeat, without))
        return Cell(Edition(self.detector, target, self.intervention, control, self.strength), self.task, language)


@dataclass(frozen=True)
class Ladders:
    """Outcomes of every rung, of the draws and of the sets without their strongest neuron where ladders are read.

    rungs: by climber, own harm by number of units. held: by climber, in how many repeats the strongest neuron is among
    the best as many.
    """

    outcomes: Mapping[Cell, CellOutcome] = field(default_factory=dict)
    rungs: Mapping[Climber, Mapping[int, float]] = field(default_factory=dict)
    held: Mapping[Climber, int] = field(default_factory=dict)


def climb(context: RunContext, editions: Editions, evaluated: Evaluated) -> Ladders:
    """Return the ladders of a run, where they were asked for; of a part, which decides nothing, none.

    A ladder is climbed where the intact model was measured in the target's own language and in another one.
    Raises `InterruptedRun` when asked to stop; ends early, without error, after `maxfail` failed cells.
    """
    if not context.spec.ladder or context.part:
        return Ladders()
    return _Climb(context, editions, evaluated).run()


class _Climb:
    """All ladders of a run under way."""

    def __init__(self, context: RunContext, editions: Editions, evaluated: Evaluated) -> None:
        self._context, self._editions, self._before = context, editions, evaluated.outcomes
        self._evaluation = Evaluation(context, editions, evaluated.outcomes, STAGE)
        self._size = sum(context.worker.neuron_map.layer_widths)
        intact = [cell for cell, found in evaluated.outcomes.items() if cell.edition is None and found.items]
        self._measured = {(cell.task, cell.language): bits_per_byte(evaluated.outcomes[cell].items) for cell in intact}

    def run(self) -> Ladders:
        """Climb, measure the other languages, and hold what was read against draws."""
        started, flats = time.perf_counter(), dict(self._lists(self._editions.detections))
        whole = {climber: Ladder(len(flat), self._size) for climber, flat in flats.items()}
        self._context.listen(StageStarted(STAGE, sum(map(self._most, whole.items())), "cells at most"))
        points = self._climbed(whole)
        repeats = self._repeats(points)
        again = self._climbed(repeats)
        self._evaluate(self._others(whole, points, LEVELS))
        self._evaluate(self._others(repeats, again, (LEVEL,)))
        self._evaluate(self._draws(points))
        held = self._hinges(points, flats)
        found = self._evaluation.outcomes
        outcomes = {cell: outcome for cell, outcome in found.items() if cell not in self._before}
        reused = all(outcome.reused for outcome in outcomes.values())
        rungs = sum(map(len, points.values())) + sum(map(len, again.values()))
        summary = f"{rungs} rungs of {len(whole) + len(repeats)} ladders, {len(outcomes)} cells"
        self._context.listen(StageFinished(STAGE, time.perf_counter() - started, reused, summary))
        return Ladders(outcomes, points | again, held)

    def _most(self, climbing: tuple[Climber, Ladder]) -> int:
        """Return the most cells that a ladder and those of its repeats can have."""
        climber, ladder = climbing
        others = len(self._languages(climber.task)) - 1
        repeats = len(self._editions.repeats.get(climber.detector, ()))
        own = ladder.most() + AROUND * len(LEVELS) * others + self._context.spec.controls.draws + 1
        return own + repeats * (ladder.most() + AROUND * others)

    def _lists(
        self, detections: Mapping[str, Detection], repeat: int | None = None
    ) -> Iterator[tuple[Climber, NDArray[np.int64]]]:
        """Yield every list of every language, once for each harmful intervention, strength and task of documents."""
        context = self._context
        strengths = context.spec.strengths or (None,)
        harmful = [n for n, each in context.resolved.interventions.items() if each.purpose == "harm"]
        tasks = dict.fromkeys(task.name for task in context.resolved.tasks if context.resolved.runner(task).by_document)
        for name, detection in detections.items():
            lists = zip(detection.languages, detection.ranked(), strict=True)
            for (tag, flat), intervention, strength, task in product(lists, harmful, strengths, tasks):
                if (task, tag) in self._measured and len(self._languages(task)) > 1:
                    yield Climber(name, tag, intervention, strength, task, repeat), flat

    def _languages(self, task: str) -> list[str]:
        return [tag for tag in self._context.languages if (task, tag) in self._measured]

    def _climbed(self, ladders: Mapping[Climber, Ladder]) -> dict[Climber, Points]:
        """Return own harm by number of units; a ladder ends early where its own language was not measured."""
        points: dict[Climber, Points] = {climber: {} for climber in ladders}
        left = dict(ladders)
        while steps := {c: n for c, ladder in left.items() if (n := ladder.next(points[c])) is not None}:
            self._evaluate(climber.cell(units, climber.language) for climber, units in steps.items())
            if self._evaluation.given_up():
                break
            for climber, units in steps.items():
                harm = self._harm(climber.cell(units, climber.language))
                if harm is None:
                    del left[climber]
                else:
                    points[climber][units] = harm
        return points

    def _harm(self, cell: Cell) -> float | None:
        """Return a cell's change as a share of the intact model's bits; None where it was not measured."""
        change = self._evaluation.change(cell)
        return None if change is None else change / self._measured[cell.task, cell.language]

    def _repeats(self, points: Mapping[Climber, Points]) -> dict[Climber, Ladder]:
        """Return the ladders of every repeat, which start where the whole detection's were read."""
        most = max(map(len, self._editions.repeats.values()), default=0)
        found = {}
        for number in range(most):
            detections = {name: folds[number] for name, folds in self._editions.repeats.items() if number < len(folds)}
            for climber, flat in self._lists(detections, number):
                start = rung_read(points.get(replace(climber, repeat=None), {}))
                if start is not None:
                    ladder = Ladder(len(flat), self._size, farthest=LEVEL, fine=REPEATED_FINE, start=start)
                    found[climber] = ladder
        return found

    def _others(
        self, ladders: Mapping[Climber, Ladder], points: Mapping[Climber, Points], levels: tuple[float, ...]
    ) -> Iterator[Cell]:
        """Yield the cells of the other languages at the rungs around the levels."""
        for climber, ladder in ladders.items():
            for units in sorted(ladder.around(points[climber], levels)):
                for tag in self._languages(climber.task):
                    if tag != climber.language:
                        yield climber.cell(units, tag)

    def _draws(self, points: Mapping[Climber, Points]) -> Iterator[Cell]:
        """Yield the draws that each ladder is held against where it is read, in its own language."""
        for climber, found in points.items():
            units = rung_read(found)
            for control in range(self._context.spec.controls.draws) if units is not None else ():
                yield climber.cell(units or 0, climber.language, control)

    def _hinges(
        self, points: Mapping[Climber, Points], flats: Mapping[Climber, NDArray[np.int64]]
    ) -> dict[Climber, int]:
        """Measure every set that is read without its strongest neuron; return how many repeats hold that neuron."""
        read = {climber: units for climber, found in points.items() if (units := rung_read(found)) is not None}
        sets = {climber: flats[climber][:units] for climber, units in read.items() if units > 1}
        strongest = strongest_first(self._context, sets, {climber: climber.language for climber in sets})
        self._evaluate(
            climber.cell(read[climber], climber.language, without=flat) for climber, flat in strongest.items()
        )
        held = {}
        for climber, flat in strongest.items():
            repeats = [each.strongest(read[climber]) for each in self._editions.repeats.get(climber.detector, ())]
            if repeats:
                row = repeats[0].languages.index(climber.language)
                held[climber] = sum(bool(each.membership[row, flat]) for each in repeats)
        return held

    def _evaluate(self, cells: Iterable[Cell]) -> None:
        groups: dict[Edition | None, list[Cell]] = {}
        for cell in cells:
            groups.setdefault(cell.edition, []).append(cell)
        if groups and not self._evaluation.given_up():
            self._evaluation.evaluate(groups)
