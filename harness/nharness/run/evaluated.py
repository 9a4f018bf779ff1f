"""The evaluation stage of a run: cells out of the store or through the executor, targets first, then controls.

Controls are drawn step by step: the plan of `nharness.analysis.controls` says which draws are still needed to decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nharness.analysis.controls import ControlPlan, ControlRules
from nharness.analysis.measurements import Measurement, pair
from nharness.errors import InterruptedRun, NharnessError
from nharness.evaluation.items import Item
from nharness.plugins import Plugins
from nharness.run.cells import Cell, CellOutcome, Edition
from nharness.run.events import CellFinished, Listener, StageAdvanced, StageFinished, StageStarted
from nharness.run.executor import Executor
from nharness.run.jobs import Before, Done, Job, changes_digest, stored
from nharness.run.plan import Plan
from nharness.run.prepared import Prepared
from nharness.run.stepwise import rule_for
from nharness.run.store import Store
from nharness.run.worker import Worker
from nharness.task import TaskSpec

STAGE = "evaluate"


@dataclass
class Evaluation:
    """Outcomes of the cells that were asked for, in the plan's order when all is done, and what they cost.

    every_draw: evaluate all control draws of the plan, not only as many as decisions need.
    """

    plan: Plan
    worker: Worker
    executor: Executor
    store: Store
    plugins: Plugins
    listen: Listener
    stop: Callable[[], bool]
    maxfail: int = 0
    every_draw: bool = False
    outcomes: dict[Cell, CellOutcome] = field(default_factory=dict)

    def run(self, prepared: Prepared) -> None:
        """Evaluate baselines and targets, then as many control draws as decisions need.

        Raises `InterruptedRun` when asked to stop; ends early, without error, after `maxfail` failed cells.
        """
        groups = self.plan.by_edition()
        targets = {edition: cells for edition, cells in groups.items() if edition is None or edition.control is None}
        controls = {edition: cells for edition, cells in groups.items() if edition and edition not in targets}
        self.listen(StageStarted(STAGE, len(self.plan.cells), "cells"))
        self._evaluate({None: targets.pop(None, [])}, prepared)
        self._evaluate(targets, prepared)
        self._refuse_idle_edits()
        for requested in [controls] if self.every_draw else self._control_rounds(controls):
            self._evaluate(requested, prepared)
        self.outcomes = {cell: self.outcomes[cell] for cell in self.plan.cells if cell in self.outcomes}
        done = [o for o in self.outcomes.values() if o.status == "passed"]
        reused = sum(outcome.reused for outcome in done)
        left = len(self.plan.cells) - len(self.outcomes)
        summary = f"{len(done)} cells, {reused} of them reused" + (f", {left} control cells not needed" if left else "")
        spared = sum(outcome.spared for outcome in done)
        summary += f", {spared:,} tokens spared by --precision" if spared else ""
        self.listen(StageFinished(STAGE, sum(o.seconds for o in done if not o.reused), reused == len(done), summary))

    def _refuse_idle_edits(self) -> None:
        """Fail the cells of an edition that changed no value in any of its languages: nothing was deactivated."""
        for edition, cells in self.plan.by_edition().items():
            changes = [self.change(cell) for cell in cells if edition and edition.control is None]
            if changes and all(change == 0 for change in changes):
                reason = "the edit changed no value in any language, so it deactivated nothing that matters"
                for cell in cells:
                    self._finish(Done(cell, "", replace(self.outcomes[cell], status="failed", reason=reason, items=())))

    @property
    def failed(self) -> list[Cell]:
        """Cells that failed, in order of completion."""
        return [cell for cell, outcome in self.outcomes.items() if outcome.status == "failed"]

    def _evaluate(self, groups: Mapping[Any, Sequence[Cell]], prepared: Prepared) -> None:
        jobs = []
        for edition, cells in groups.items():
            if self._given_up():
                return
            jobs += self._job(edition, cells, prepared)
        for done in self.executor.run(self._announced(jobs)):
            if done.outcome.status == "passed":
                self.store.put("cells", done.key, done.outcome.document())
            self._finish(done)
            if self.stop():
                raise InterruptedRun("stopped after the cell that was running")
            if self._given_up():
                return

    def _job(self, edition: Edition | None, cells: Sequence[Cell], prepared: Prepared) -> list[Job]:
        """Return the job of the cells that are not in the store; none when all are, or nothing is to be edited."""
        try:
            changes = prepared.changes(edition) if edition is not None else ()
        except NharnessError as error:
            return self._without(cells, CellOutcome("failed", reason=str(error)))
        if edition is not None and not any(len(change.flat) for change in changes):
            reason = f"{edition.detector} has no neuron for {edition.target}"
            return self._without(cells, CellOutcome("skipped", reason=reason))
        digest = changes_digest(changes, corpus=self.worker.resolved.corpus.fingerprint)
        missing = []
        for cell in cells:
            key = self.worker.key(cell, digest)
            found = stored(self.store, key)
            if found is None:
                missing.append((cell, key))
            else:
                self._finish(Done(cell, key, found))
        if not missing:
            return []
        cells, keys = tuple(cell for cell, _ in missing), tuple(key for _, key in missing)
        return [Job(edition, changes, cells, keys, self._before(cells))]

    def _before(self, cells: Sequence[Cell]) -> Before:
        """Return the baseline's items for the cells that may stop early; empty when none may."""
        spec, found = self.worker.resolved.spec, {}
        for cell in cells:
            intact = self.outcomes.get(Cell(None, cell.task, cell.language))
            kind = self.plan.tasks[cell.task, cell.language].kind
            if intact is not None and intact.status == "passed" and rule_for(cell, kind, spec) is not None:
                found[cell.task, cell.language] = intact.items
        return found

    def _without(self, cells: Sequence[Cell], outcome: CellOutcome) -> list[Job]:
        """Finish cells that need no job, and return no job."""
        for cell in cells:
            self._finish(Done(cell, "", outcome))
        return []

    def _announced(self, jobs: Iterable[Job]) -> Iterable[Job]:
        """Yield jobs as the executor takes them, their cells announced."""
        for job in jobs:
            for cell in job.cells:
                self.plugins.hook.nharness_cell_started(cell=cell)
            yield job

    def _finish(self, done: Done) -> None:
        self.outcomes[done.cell] = done.outcome
        self.plugins.hook.nharness_cell_finished(cell=done.cell, outcome=done.outcome)
        self.listen(StageAdvanced(STAGE, 1, 0 if done.outcome.reused else done.outcome.tokens))
        self.listen(CellFinished(done.cell, done.outcome, self.change(done.cell)))

    def _given_up(self) -> bool:
        return bool(self.maxfail) and len(self.failed) >= self.maxfail

    def change(self, cell: Cell) -> float | None:
        """Return a cell's change against the baseline on the items both have; None where one of them is missing."""
        outcome, baseline = self.outcomes.get(cell), self.outcomes.get(Cell(None, cell.task, cell.language))
        if outcome is None or baseline is None or cell.edition is None or not outcome.items or not baseline.items:
            return None
        return paired_change(self.plan.tasks[cell.task, cell.language], outcome.items, baseline.items)

    def _control_rounds(self, controls: Mapping[Edition, Sequence[Cell]]) -> Iterable[dict[Edition, list[Cell]]]:
        """Yield what every detection's control plan asks for next, until none asks for more."""
        families: dict[tuple[object, ...], list[Edition]] = {}
        for edition in controls:
            families.setdefault((edition.detector, edition.intervention, edition.strength, edition.budget), []).append(
                edition
            )
        while True:
            wanted: dict[Edition, list[Cell]] = {}
            for editions in families.values():
                for cell in self._next_controls(editions, controls):
                    if cell.edition is not None and cell not in self.outcomes:
                        wanted.setdefault(cell.edition, []).append(cell)
            if not wanted or self._given_up():
                return
            yield wanted

    def _next_controls(self, editions: Sequence[Edition], controls: Mapping[Edition, Sequence[Cell]]) -> Iterable[Cell]:
        spec = self.worker.resolved.spec.controls
        by_draw = {(edition.target, edition.control): edition for edition in editions}
        targets = tuple(dict.fromkeys(edition.target for edition in editions))
        for task in dict.fromkeys(cell.task for edition in editions for cell in controls[edition]):
            allowed = {cell for edition in editions for cell in controls[edition] if cell.task == task}
            languages = tuple(dict.fromkeys(cell.language for cell in allowed))
            rules = ControlRules.between(min(spec.least, spec.draws), spec.draws)
            plan = ControlPlan(targets, tuple(sorted(languages)), rules)
            effects, draws = self._evidence(editions[0], task, targets, languages)
            for request in plan.next(effects, draws):
                edition = by_draw.get((request.target, request.draw))  # None for a draw that -k left out
                cells = [Cell(edition, task, language) for language in request.languages] if edition else []
                yield from (cell for cell in cells if cell in allowed)

    def _evidence(
        self, sample: Edition, task: str, targets: Sequence[str], languages: Sequence[str]
    ) -> tuple[dict[tuple[str, str], float | None], dict[tuple[str, int, str], float | None]]:
        """Return targets' and draws' changes of one family, both on the items that draws are evaluated on."""
        effects: dict[tuple[str, str], float | None] = {}
        draws: dict[tuple[str, int, str], float | None] = {}
        for target in targets:
            for language in languages:
                for number in [None, *range(self.worker.resolved.spec.controls.draws)]:
                    edition = Edition(
                        sample.detector, target, sample.intervention, number, sample.strength, sample.budget
                    )
                    cell = Cell(edition, task, language)
                    if cell not in self.outcomes:
                        continue
                    if number is None:
                        effects[target, language] = self._sampled_change(cell)
                    else:
                        draws[target, number, language] = self.change(cell)
        return effects, draws

    def _sampled_change(self, cell: Cell) -> float | None:
        """Return a target's change on the items that control draws are evaluated on."""
        task = self.plan.tasks[cell.task, cell.language]
        outcome, baseline = self.outcomes[cell], self.outcomes.get(Cell(None, cell.task, cell.language))
        if baseline is None or outcome.status != "passed" or baseline.status != "passed":
            return None
        items = outcome.items
        if task.kind == "perplexity":
            wanted = {document.id for document in self.worker.text(cell.language, sample=True).documents}
            items = [item for item in items if item.id in wanted]
        return paired_change(task, items, baseline.items)


def paired_change(task: TaskSpec, edited: Sequence[Item], baseline: Sequence[Item]) -> float | None:
    """Return edited minus baseline on the items of both: bits per byte for perplexity, else the metric's mean."""
    key = (task.name, None, None, task.language)
    paired = pair(Measurement.of(key, baseline), Measurement.of(key, edited), task.metric)
    return None if paired is None else paired.change
