"""Every number of a record that comes from items: baselines, cells, controls, summaries.

`analyse` is a pure function: the same measurements and settings give the same numbers, in whatever order cells come, so
that a record can be recomputed from the items beside it (`reanalyse`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nharness.analysis.cell_results import Context, baselines_of, cells_of
from nharness.analysis.control_effects import ControlEffects, control_effects_of
from nharness.analysis.curves import area_under_budget
from nharness.analysis.effects import HARM, Aim, effects_of
from nharness.analysis.measurements import Failure, Measurement, by_key
from nharness.analysis.rounding import rounded
from nharness.analysis.selectivity import summarise
from nharness.record.cells import Baseline, CellResult, ControlDraw, Target, Task
from nharness.record.model import Record
from nharness.record.results import AnalysisSettings, CurvePoint, TaskSummary
from nharness.record.sources import UNKNOWN_FLAGGED, Corpus

Changes = dict[str, dict[str, float | None]]


@dataclass(frozen=True)
class Known:
    """What is known of the measurements beyond their items.

    failures: cells without items. noise_floors: by (task, language), in the task's unit. overlapping: (task, language)
    pairs whose items share text with the detection. unknown: those whose text the tokenizer hardly knows. curve: points
    of the budget curve, for the area under it. aim: what the intervention is for.
    """

    failures: Sequence[Failure] = ()
    noise_floors: Mapping[tuple[str, str], float] = field(default_factory=dict)
    overlapping: Collection[tuple[str, str]] = ()
    unknown: Collection[tuple[str, str]] = ()
    curve: Sequence[CurvePoint] = ()
    aim: Aim = HARM


@dataclass(frozen=True)
class Analysis:
    """A record's computed parts, in the record's order.

    control_changes: by (target, draw), per task and language the draw's change; None where that cell failed.
    null_rates: by task, the share of draws that the t alone would call different from the other draws at 0.05; far
        above 0.05 when random neurons differ much among themselves (control_test.py); tasks without draws are absent.
    """

    baseline: tuple[Baseline, ...]
    cells: tuple[CellResult, ...]
    summary: tuple[TaskSummary, ...]
    control_changes: Mapping[tuple[str, int], Changes]
    null_rates: Mapping[str, float]

    def draws(self, sets: Mapping[tuple[str, int], tuple[int, str]]) -> tuple[ControlDraw, ...]:
        """Return the record's draws; `sets` gives the number and digest of every draw's neurons by (target, draw)."""
        return tuple(
            ControlDraw(
                target=target, draw=draw, neurons=sets[target, draw][0], digest=sets[target, draw][1], changes=changes
            )
            for (target, draw), changes in self.control_changes.items()
        )


def analyse(
    measurements: Iterable[Measurement],
    *,
    tasks: Sequence[Task],
    targets: Sequence[Target],
    settings: AnalysisSettings,
    known: Known | None = None,
) -> Analysis:
    """Return every computed part of a record.

    Raises `UsageError` for a cell measured twice, items without the task's metric, or items measured on other text than
    in the baseline.
    """
    known = known or Known()
    table = by_key(measurements)
    reasons = {failure.key: failure.reason for failure in known.failures}
    tried = sorted({*table, *reasons}, key=repr)
    baseline: list[Baseline] = []
    cells: list[CellResult] = []
    summary: list[TaskSummary] = []
    controls: dict[str, ControlEffects] = {}
    for task in tasks:
        context = Context(
            table,
            reasons,
            {language: floor for (name, language), floor in known.noise_floors.items() if name == task.name},
            {language for name, language in known.overlapping if name == task.name},
            {language for name, language in known.unknown if name == task.name},
        )
        effects = effects_of(task, targets, table, settings, known.aim)
        controls[task.name] = control_effects_of(effects, targets, table, tried)
        baseline += baselines_of(task, context, settings.precision)
        cells += cells_of(effects, targets, controls[task.name], context)
        area = area_under_budget(known.curve, task.name, digits=settings.precision)
        summary.append(summarise(effects, targets, controls[task.name], area))
    return Analysis(
        tuple(baseline),
        tuple(cells),
        tuple(summary),
        _changes(controls, targets, settings.precision),
        {name: found.test.null_rate for name, found in controls.items() if not math.isnan(found.test.null_rate)},
    )


def unknown_text(tasks: Iterable[Task], corpus: Corpus) -> frozenset[tuple[str, str]]:
    """Return the (task, language) pairs on text of the corpus of which the tokenizer knows too little."""
    languages = corpus.hardly_known(UNKNOWN_FLAGGED)
    return frozenset((task.name, language) for task in tasks if task.lm_eval is None for language in languages)


def reanalyse(record: Record, measurements: Iterable[Measurement]) -> Analysis:
    """Return what the items give for a record, with the record's own settings, failures, flags of text and curve.

    What items do not hold (edited activations, items available) is as unknown as it is; compare numbers, not parts.
    """
    failures = [
        Failure(cell.task, cell.target, None, cell.language, cell.reason or "")
        for cell in record.cells
        if cell.status == "failed"
    ]
    if record.controls is not None:
        failures += [
            Failure(task, draw.target, draw.draw, language, "")
            for draw in record.controls.draws
            for task, changes in draw.changes.items()
            for language, change in changes.items()
            if change is None
        ]
    floors = {(b.task, b.language): b.noise_floor for b in record.baseline if b.noise_floor is not None}
    overlapping = {(cell.task, cell.language) for cell in record.cells if "overlap" in cell.flags}
    unknown = unknown_text(record.tasks, record.corpus)
    known = Known(failures, floors, overlapping, unknown, record.curve, aim_of(record))
    return analyse(measurements, tasks=record.tasks, targets=record.targets, settings=record.analysis, known=known)


def recomputed(record: Record, measurements: Iterable[Measurement]) -> Record:
    """Return the record with every number that follows from its items as this version computes it, under a new id.

    What items do not hold stays as it was; so do the points of a curve, which are of other records' items.
    """
    found = reanalyse(record, measurements)
    cells = tuple(
        new.model_copy(
            update={
                "edited_activations": old.edited_activations,
                "items_available": old.items_available,
                "reason": old.reason,
            }
        )
        for new, old in zip(found.cells, record.cells, strict=True)
    )
    changed: dict[str, Any] = {"baseline": found.baseline, "cells": cells, "summary": found.summary}
    if record.controls is not None:
        draws = tuple(
            draw.model_copy(update={"changes": found.control_changes.get((draw.target, draw.draw), draw.changes)})
            for draw in record.controls.draws
        )
        changed["controls"] = record.controls.model_copy(update={"draws": draws})
    return record.model_copy(update=changed).with_id()


def aim_of(record: Record) -> Aim:
    """Return what a record's intervention is for."""
    return Aim(record.intervention.purpose, record.intervention.source)


def _changes(
    controls: Mapping[str, ControlEffects], targets: Sequence[Target], digits: int
) -> dict[tuple[str, int], Changes]:
    """Return every draw's changes, targets in order and draws by number."""
    order = {target.name: place for place, target in enumerate(targets)}
    found: dict[tuple[str, int], Changes] = {}
    for task, effects in controls.items():
        for (target, language), drawn in effects.draws.items():
            for number, change in drawn.items():
                found.setdefault((target, number), {}).setdefault(task, {})[language] = rounded(change, digits)
    return dict(sorted(found.items(), key=lambda entry: (order[entry[0][0]], entry[0][1])))
