"""The evaluation stage of a run: cells out of the store or through the executor, targets first, then controls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from nharness.cells import Cell, CellOutcome, Edition
from nharness.errors import InterruptedRun, NharnessError
from nharness.events import CellFinished, Listener, Noted, StageAdvanced, StageFinished, StageStarted
from nharness.plugins import Plugins
from nharness.run.plan.plan import Plan
from nharness.run.stages.control_rounds import ControlRounds
from nharness.run.stages.editions import Prepared
from nharness.run.store import Store
from nharness.run.work.executor import Executor
from nharness.run.work.jobs import Before, Done, Job, changes_digest, stored
from nharness.run.work.stopping import rule_for
from nharness.run.work.worker import FAILURES, Worker, failure

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
    _noted: set[str] = field(default_factory=set)

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
        for requested in [controls] if self.every_draw else self._rounds.until_decided(controls):
            if self._given_up():
                break
            self._evaluate(requested, prepared)
        self.outcomes = {cell: self.outcomes[cell] for cell in self.plan.cells if cell in self.outcomes}
        done = [o for o in self.outcomes.values() if o.status == "passed"]
        reused = sum(outcome.reused for outcome in done)
        left = len(self.plan.cells) - len(self.outcomes)
        why = f"cells not run after {len(self.failed)} failed" if self._given_up() else "control cells not needed"
        summary = f"{len(done)} cells, {reused} of them reused" + (f", {left} {why}" if left else "")
        spared = sum(outcome.spared for outcome in done)
        summary += f", {spared:,} tokens spared by --precision" if spared else ""
        self.listen(StageFinished(STAGE, sum(o.seconds for o in done if not o.reused), reused == len(done), summary))

    def _refuse_idle_edits(self) -> None:
        """Fail the cells of an edition that changed no value of any item in any language: nothing was deactivated."""
        for edition, cells in self.plan.by_edition().items():
            moved = [self._rounds.moved(cell) for cell in cells if edition and edition.control is None]
            if False in moved and True not in moved:
                reason = "the edit changed no value in any language, so it deactivated nothing that matters"
                for cell in cells:
                    self._finish(Done(cell, "", replace(self.outcomes[cell], status="failed", reason=reason, items=())))

    @cached_property
    def _rounds(self) -> ControlRounds:
        return ControlRounds(self.plan, self.worker, self.outcomes)

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
        if jobs and self.stop():
            raise InterruptedRun("stopped before the next cell")
        for done in self.executor.run(self._announced(jobs)):
            self._keep(done)
            if self.stop():
                for late in self.executor.finish():
                    self._keep(late)
                raise InterruptedRun("stopped after the cells that were running")
            if self._given_up():
                return

    def _job(self, edition: Edition | None, cells: Sequence[Cell], prepared: Prepared) -> list[Job]:
        """Return the job of the cells that are not in the store; none when all are, or nothing is to be edited."""
        try:
            changes = prepared.changes(edition) if edition is not None else ()
        except (NharnessError, *FAILURES) as error:
            return self._without(cells, CellOutcome("failed", reason=failure(error)))
        if edition is not None and not any(len(change.flat) for change in changes):
            reason = f"{edition.detector} has no neuron for {edition.target}"
            return self._without(cells, CellOutcome("skipped", reason=reason))
        digest = changes_digest(changes, corpus=self.worker.resolved.corpus.fingerprint)
        missing = []
        for cell in cells:
            key = self.worker.key(cell, digest, self.executor.identity)
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
        resolved, found = self.worker.resolved, {}
        for cell in cells:
            intact = self.outcomes.get(Cell(None, cell.task, cell.language))
            by_document = resolved.runner(self.plan.tasks[cell.task, cell.language]).by_document
            if intact is not None and intact.status == "passed" and by_document and rule_for(cell, resolved.spec):
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

    def _keep(self, done: Done) -> None:
        """Put a cell that was evaluated into the store, and finish it."""
        if done.outcome.status == "passed":
            self.store.put("cells", done.key, done.outcome.document())
        if done.outcome.note and done.outcome.note not in self._noted:
            self._noted.add(done.outcome.note)
            self.listen(Noted("warning", f"{done.cell.id}: {done.outcome.note}"))
        self._finish(done)

    def _finish(self, done: Done) -> None:
        self.outcomes[done.cell] = done.outcome
        self.plugins.hook.nharness_cell_finished(cell=done.cell, outcome=done.outcome)
        self.listen(StageAdvanced(STAGE, 1, 0 if done.outcome.reused else done.outcome.tokens))
        self.listen(CellFinished(done.cell, done.outcome, self._rounds.change(done.cell)))

    def _given_up(self) -> bool:
        return bool(self.maxfail) and len(self.failed) >= self.maxfail
