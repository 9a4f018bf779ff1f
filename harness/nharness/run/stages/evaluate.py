"""The evaluation stage of a run: cells out of the store or through the executor, targets first, then controls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nharness.cells import Cell, CellOutcome, Edition
from nharness.corpora import Corpus
from nharness.errors import InterruptedRun, NharnessError
from nharness.events import CellFinished, Noted, StageAdvanced, StageFinished, StageStarted
from nharness.run.context import RunContext
from nharness.run.stages.control_rounds import ControlRounds
from nharness.run.stages.editions import Editions
from nharness.run.work.executor import Seen, Work, unheard
from nharness.run.work.jobs import Before, Done, Job, changes_digest, stored
from nharness.run.work.prompt_answers import Answered
from nharness.run.work.stopping import rule_for
from nharness.run.work.worker import FAILURES, Worker, failure

STAGE = "evaluate"
ELSEWHERE = "a worker has other text or files for this task than the main process"


@dataclass(frozen=True)
class Evaluated:
    """Outcomes of the cells that were asked for, in the plan's order."""

    outcomes: Mapping[Cell, CellOutcome]

    @property
    def failed(self) -> list[Cell]:
        """Cells that failed, in the plan's order."""
        return [cell for cell, outcome in self.outcomes.items() if outcome.status == "failed"]


@dataclass(frozen=True)
class EvaluateWork(Work[Job, Done]):
    """Evaluate the cells of jobs.

    corpus: the fingerprint of the run's text, where values are drawn from. answered: what the run's model wrote into
    it. verify: see to it that every cell's key comes out the same on the worker; else it would be something else.
    """

    corpus: str
    answered: Answered | None = None
    verify: bool = False

    def begin(self, worker: Worker, seen: Seen) -> Callable[[Job], Iterator[Done]]:
        """Return what evaluates; `seen` is not told, since every cell says what it cost."""
        del seen
        corpus = worker.resolved.corpus
        text = corpus if self.answered is None else self.answered.corpus(corpus)
        return lambda job: self._evaluated(worker, text, job)

    def _evaluated(self, worker: Worker, text: Corpus, job: Job) -> Iterator[Done]:
        if not self.verify:
            yield from worker.evaluate(job, text)
            return
        digest = changes_digest(job.changes, corpus=self.corpus)
        same = [worker.key(cell, digest, worker.identity) == key for cell, key in zip(job.cells, job.keys, strict=True)]
        yield from _failed(_chosen(job, [not each for each in same]), ELSEWHERE)
        yield from worker.evaluate(_chosen(job, same), text)

    def divided(self, piece: Job, parts: int) -> Sequence[Job]:
        """Return the job's cells in up to `parts` jobs."""
        size = -(-len(piece.cells) // parts)
        return [
            replace(piece, cells=piece.cells[first : first + size], keys=piece.keys[first : first + size])
            for first in range(0, len(piece.cells), size)
        ]

    def left(self, piece: Job, result: Done) -> Job:
        """Return the job without the cell that is done."""
        return _chosen(piece, [cell != result.cell for cell in piece.cells])

    def lost(self, piece: Job, reason: str) -> Iterator[Done]:
        """Yield every cell as failed."""
        return _failed(piece, reason)


def _chosen(job: Job, marks: Sequence[bool]) -> Job:
    kept = [(cell, key) for cell, key, mark in zip(job.cells, job.keys, marks, strict=True) if mark]
    return replace(job, cells=tuple(cell for cell, _ in kept), keys=tuple(key for _, key in kept))


def _failed(job: Job, reason: str) -> Iterator[Done]:
    for cell, key in zip(job.cells, job.keys, strict=True):
        yield Done(cell, key, CellOutcome("failed", reason=reason))


def evaluate(context: RunContext, editions: Editions) -> Evaluated:
    """Return what baselines and targets gave, and as many control draws as decisions need; of a part, every draw.

    Raises `InterruptedRun` when asked to stop; ends early, without error, after `maxfail` failed cells.
    """
    return Evaluation(context, editions, {}).run()


class Evaluation:
    """An evaluation under way: outcomes as they come in, after those that were there before.

    stage: which stage of the run its cells are of, for those who listen.
    """

    def __init__(
        self, context: RunContext, editions: Editions, before: Mapping[Cell, CellOutcome], stage: str = STAGE
    ) -> None:
        self._context, self._editions, self._plan, self._stage = context, editions, context.plan, stage
        self._outcomes = dict(before)
        self._rounds = ControlRounds(context, self._outcomes)
        self._work = EvaluateWork(context.corpus.fingerprint, context.answered, context.executor.remote)
        self._noted: set[str] = set()

    def run(self) -> Evaluated:
        """Evaluate the cells of the plan."""
        context, groups = self._context, self._plan.by_edition()
        targets = {edition: cells for edition, cells in groups.items() if edition is None or edition.control is None}
        controls = {edition: cells for edition, cells in groups.items() if edition and edition not in targets}
        fewer = bool(controls) and not context.part and context.spec.controls.least < context.spec.controls.draws
        context.listen(StageStarted(STAGE, len(self._plan.cells), "cells at most" if fewer else "cells"))
        self.evaluate({None: targets.pop(None, [])})
        self.evaluate(targets)
        self._refuse_idle_edits()
        for requested in [controls] if context.part else self._rounds.until_decided(controls):
            if self.given_up():
                break
            self.evaluate(requested)
        found = Evaluated({cell: self._outcomes[cell] for cell in self._plan.cells if cell in self._outcomes})
        context.listen(self._finished(found))
        return found

    def _finished(self, found: Evaluated) -> StageFinished:
        done = [o for o in found.outcomes.values() if o.status == "passed"]
        reused = sum(outcome.reused for outcome in done)
        left = len(self._plan.cells) - len(found.outcomes)
        why = f"cells not run after {len(found.failed)} failed" if self.given_up() else "control cells not needed"
        summary = f"{len(done)} cells, {reused} of them reused" + (f", {left} {why}" if left else "")
        spared = sum(outcome.spared for outcome in done)
        summary += f", {spared:,} tokens spared by --precision" if spared else ""
        return StageFinished(STAGE, sum(o.seconds for o in done if not o.reused), reused == len(done), summary)

    def _refuse_idle_edits(self) -> None:
        """Fail the cells of an edition that changed no value of any item in any language: nothing was deactivated."""
        for edition, cells in self._plan.by_edition().items():
            moved = [self._rounds.moved(cell) for cell in cells if edition and edition.control is None]
            if False in moved and True not in moved:
                reason = "the edit changed no value in any language, so it deactivated nothing that matters"
                for cell in cells:
                    outcome = replace(self._outcomes[cell], status="failed", reason=reason, items=())
                    self._finish(Done(cell, "", outcome))

    @property
    def outcomes(self) -> Mapping[Cell, CellOutcome]:
        """Outcomes so far, by cell."""
        return self._outcomes

    def change(self, cell: Cell) -> float | None:
        """Return a cell's change against the baseline, in bits per byte or the metric's mean; None where one lacks."""
        return self._rounds.change(cell)

    def evaluate(self, groups: Mapping[Any, Sequence[Cell]]) -> None:
        """Evaluate cells by edition, those that are in the store taken from there.

        Raises `InterruptedRun` when asked to stop; returns early after `maxfail` failed cells.
        """
        jobs = []
        for edition, cells in groups.items():
            if self.given_up():
                return
            jobs += self._job(edition, cells)
        executor = self._context.executor
        if jobs and self._context.stop():
            raise InterruptedRun("stopped before the next cell")
        for done in executor.map(self._work, self._announced(jobs), unheard):
            self._keep(done)
            if self._context.stop():
                for late in executor.finish():
                    self._keep(late)
                raise InterruptedRun("stopped after the cells that were running")
            if self.given_up():
                return

    def _job(self, edition: Edition | None, cells: Sequence[Cell]) -> list[Job]:
        """Return the job of the cells that are not in the store; none when all are, or nothing is to be edited."""
        context = self._context
        try:
            changes = self._editions.changes(edition) if edition is not None else ()
        except (NharnessError, *FAILURES) as error:
            return self._without(cells, CellOutcome("failed", reason=failure(error)))
        if edition is not None and not any(len(change.flat) for change in changes):
            reason = f"{edition.detector} has no neurons for {edition.target}"
            return self._without(cells, CellOutcome("skipped", reason=reason))
        digest = changes_digest(changes, corpus=context.corpus.fingerprint)
        missing = []
        for cell in cells:
            key = context.worker.key(cell, digest, context.identity)
            found = stored(context.store, key)
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
        resolved, found = self._context.resolved, {}
        for cell in cells:
            intact = self._outcomes.get(Cell(None, cell.task, cell.language))
            by_document = resolved.runner(self._plan.tasks[cell.task, cell.language]).by_document
            if intact is not None and intact.status == "passed" and by_document and rule_for(cell, resolved.spec):
                found[cell.task, cell.language] = intact.items
        return found

    def _without(self, cells: Sequence[Cell], outcome: CellOutcome) -> list[Job]:
        """Finish cells that need no job, as many as may fail, and return no job."""
        for cell in cells:
            if self.given_up():
                break
            self._finish(Done(cell, "", outcome))
        return []

    def _announced(self, jobs: Iterable[Job]) -> Iterable[Job]:
        """Yield jobs as the executor takes them, their cells announced."""
        for job in jobs:
            for cell in job.cells:
                self._context.plugins.hook.nharness_cell_started(cell=cell)
            yield job

    def _keep(self, done: Done) -> None:
        """Put a cell that was evaluated into the store, and finish it."""
        if done.outcome.status == "passed":
            self._context.store.put("cells", done.key, done.outcome.document())
        if done.outcome.note and done.outcome.note not in self._noted:
            self._noted.add(done.outcome.note)
            self._context.listen(Noted("warning", f"{done.cell.id}: {done.outcome.note}"))
        self._finish(done)

    def _finish(self, done: Done) -> None:
        self._outcomes[done.cell] = done.outcome
        self._context.plugins.hook.nharness_cell_finished(cell=done.cell, outcome=done.outcome)
        self._context.listen(StageAdvanced(self._stage, 1, 0 if done.outcome.reused else done.outcome.tokens))
        self._context.listen(CellFinished(done.cell, done.outcome, self._rounds.change(done.cell)))

    def given_up(self) -> bool:
        """Tell whether as many cells failed as may."""
        most = self._context.maxfail
        return bool(most) and sum(outcome.status == "failed" for outcome in self._outcomes.values()) >= most
