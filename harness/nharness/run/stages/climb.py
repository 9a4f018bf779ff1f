"""The ladders of a run: how much of each detector's list has to be switched off to make a language so much worse.

1. Every target climbs a ladder of its own (`nharness.analysis.ladder`): its best 1, 2, 4, ... neurons are switched off
   and every language is measured, until its own is hurt enough; then the step in which it came to be is halved.
2. All ladders take a step together, so that the cells of a step can be evaluated side by side.
3. At the rung where a ladder is read, random draws of as many neurons are measured in the target's own language.

What comes next is a function of what was measured, and every cell is in the store: a killed run goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from nharness.analysis.ladder import LEVEL, Ladder
from nharness.cells import Cell, CellOutcome, Edition
from nharness.evaluation.items import bits_per_byte
from nharness.events import StageFinished, StageStarted
from nharness.run.context import RunContext
from nharness.run.stages.editions import Editions
from nharness.run.stages.evaluate import Evaluated, Evaluation
from nharness.targets import rung_target

STAGE = "climb"


@dataclass(frozen=True)
class Climber:
    """Whose ladder it is: a detector's list for a language, what is done to its neurons, and the task that measures."""

    detector: str
    language: str
    intervention: str
    strength: float | None
    task: str

    def cells(self, units: int, languages: Iterator[str] | tuple[str, ...], control: int | None = None) -> list[Cell]:
        """Return the cells of a rung in some languages."""
        target = rung_target(self.language, units)
        edition = Edition(self.detector, target, self.intervention, control, self.strength)
        return [Cell(edition, self.task, tag) for tag in languages]


@dataclass(frozen=True)
class Ladders:
    """Outcomes of every rung, and of the draws where ladders are read.

    rungs: own harm by number of units. flats: each list, the best first, as flat indices. size: neurons of the model.
    """

    outcomes: Mapping[Cell, CellOutcome] = field(default_factory=dict)
    rungs: Mapping[Climber, Mapping[int, float]] = field(default_factory=dict)
    flats: Mapping[Climber, NDArray[np.int64]] = field(default_factory=dict, repr=False)
    size: int = 0

    def read(self, climber: Climber) -> int | None:
        """Return the rung at which a ladder is read; None for one without any."""
        points = self.rungs[climber]
        enough = [units for units in sorted(points) if points[units] >= LEVEL]
        return enough[0] if enough else max(points, key=lambda units: (points[units], -units), default=None)


def climb(context: RunContext, editions: Editions, evaluated: Evaluated) -> Ladders:
    """Return the ladders of a run, where they were asked for; of a part, which decides nothing, none.

    Raises `InterruptedRun` when asked to stop; ends early, without error, after `maxfail` failed cells.
    """
    if not context.spec.ladder or context.part:
        return Ladders()
    started = time.perf_counter()
    evaluation = Evaluation(context, editions, evaluated.outcomes)
    flats, size = _lists(context, editions), sum(context.worker.neuron_map.layer_widths)
    ladders = {climber: Ladder(len(flat), size) for climber, flat in flats.items()}
    context.listen(StageStarted(STAGE, sum(ladder.most() for ladder in ladders.values()), "rungs"))
    points: dict[Climber, dict[int, float]] = {climber: {} for climber in ladders}
    ended: set[Climber] = set()
    while steps := {
        climber: units
        for climber, ladder in ladders.items()
        if climber not in ended and (units := ladder.next(points[climber])) is not None
    }:
        evaluation.evaluate(_by_edition(context, steps))
        if evaluation.given_up():
            break
        for climber, units in steps.items():
            harm = own_harm(evaluation, climber, units)
            if harm is None:
                ended.add(climber)
            else:
                points[climber][units] = harm
    made = Ladders({}, points, flats, size)
    if not evaluation.given_up():
        evaluation.evaluate(dict(_draws(context, made)))
    outcomes = {cell: outcome for cell, outcome in evaluation.outcomes.items() if cell not in evaluated.outcomes}
    reused = all(outcome.reused for outcome in outcomes.values())
    rungs = sum(map(len, points.values()))
    summary = f"{rungs} rungs of {len(ladders)} ladders, {len(outcomes)} cells"
    context.listen(StageFinished(STAGE, time.perf_counter() - started, reused, summary))
    return replace(made, outcomes=outcomes)


def _lists(context: RunContext, editions: Editions) -> dict[Climber, NDArray[np.int64]]:
    """Return every detector's list of every language, once for each harmful intervention, strength and task of text."""
    spec, found = context.spec, {}
    tasks = [task.name for task in context.resolved.tasks if context.resolved.runner(task).by_document]
    for name, detection in editions.detections.items():
        lists = dict(zip(detection.languages, detection.ranked(), strict=True))
        harmful = [each for each in spec.interventions if context.resolved.interventions[each.name].purpose == "harm"]
        whole = product(lists.items(), harmful, spec.strengths or (None,), dict.fromkeys(tasks))
        for (tag, flat), intervention, strength, task in whole:
            found[Climber(name, tag, intervention.name, strength, task)] = flat
    return found


def _by_edition(context: RunContext, steps: Mapping[Climber, int]) -> dict[Edition | None, list[Cell]]:
    groups: dict[Edition | None, list[Cell]] = {}
    for climber, units in steps.items():
        for cell in climber.cells(units, context.languages):
            groups.setdefault(cell.edition, []).append(cell)
    return groups


def _draws(context: RunContext, ladders: Ladders) -> Iterator[tuple[Edition | None, list[Cell]]]:
    """Yield the draws that each ladder is held against where it is read, in its own language."""
    for climber in ladders.rungs:
        units = ladders.read(climber)
        for control in range(context.spec.controls.draws) if units is not None else ():
            cells = climber.cells(units or 0, (climber.language,), control)
            yield cells[0].edition, cells


def own_harm(evaluation: Evaluation, climber: Climber, units: int) -> float | None:
    """Return the own language's change as a share of the intact model's bits; None where it was not measured."""
    (cell,) = climber.cells(units, (climber.language,))
    change, intact = evaluation.change(cell), evaluation.outcomes.get(Cell(None, cell.task, cell.language))
    if change is None or intact is None or not intact.items:
        return None
    return change / bits_per_byte(intact.items)
