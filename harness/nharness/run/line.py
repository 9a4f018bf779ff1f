"""The line itself: specification in, records out. Read from top to bottom, it is what nharness does."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from nharness.cells import Cell, CellOutcome
from nharness.claims import ClaimResult, check_claims
from nharness.detector import Need
from nharness.errors import InterruptedRun, NharnessError, PluginError
from nharness.events import Event, Listener, Noted, StageAdvanced, StageFinished, StageStarted, ignore
from nharness.plugins import Plugins
from nharness.record.model import Record
from nharness.run.plan.collect import check_text, collected, described_plan
from nharness.run.plan.request import RunRequest
from nharness.run.plan.resolve import Resolved
from nharness.run.plan.shards import part_of
from nharness.run.results.folder import RunFolder
from nharness.run.results.writer import RecordWriter
from nharness.run.stages.ablate import measure_losses
from nharness.run.stages.answer import answer_prompts
from nharness.run.stages.assess import Judged
from nharness.run.stages.controls import ControlSampler
from nharness.run.stages.detect import Detected, Detections, detect
from nharness.run.stages.editions import Prepared
from nharness.run.stages.evaluate import STAGE as EVALUATE
from nharness.run.stages.evaluate import Evaluation
from nharness.run.stages.record import Recorded, record_evidence
from nharness.run.stages.repeats import repeat_detection
from nharness.run.stages.truth import score_detectors
from nharness.run.store import Store
from nharness.run.work.executor import Executor, LocalExecutor
from nharness.run.work.worker import Worker


@dataclass(frozen=True)
class RunResult:
    """What a run gave: records with their paths, every cell's outcome, claims checked, seconds per stage."""

    records: Mapping[Path, Record]
    outcomes: Mapping[Cell, CellOutcome]
    claims: Sequence[ClaimResult] = ()
    seconds: float = 0.0
    warnings: Sequence[str] = field(default=())

    @property
    def failed(self) -> list[Cell]:
        """Cells that failed."""
        return [cell for cell, outcome in self.outcomes.items() if outcome.status == "failed"]

    @property
    def exit_code(self) -> int:
        """0 when all cells ran and all claims held, else 1."""
        return int(bool(self.failed) or any(not claim.holds for claim in self.claims))


def run(
    request: RunRequest, plugins: Plugins, *, listen: Listener = ignore, stop: Callable[[], bool] = lambda: False
) -> RunResult:
    """Run a specification and return its records, each validated and written.

    Raises `UsageError` for input that is wrong, `InterruptedRun` when `stop` says so between two cells; what was done
    until then is in the store, and the same request goes on from there.
    """
    started = time.perf_counter()
    make = _executor(request, plugins)
    resolved, plan = collected(request.spec, plugins, request.expression)
    folder = RunFolder(request.out)
    request = folder.begin(request, resolved.spec)
    if request.last_failed:
        plan = folder.last_failed(plan)
    plan = part_of(plan, request.shard) if request.shard else plan
    store = Store(request.store or folder.path / "store")
    plugins.hook.nharness_run_started(configuration=resolved.spec.model_dump(mode="json"))
    listen(described_plan(resolved, plan))
    for text in resolved.warnings:
        listen(Noted("warning", text))

    check_text(resolved)
    worker = load_worker(resolved, listen)
    listen = _stopping(listen, stop)
    answer_prompts(worker, store, listen)
    with closing(make(worker, request.workers, request.executor_options)) as executor:
        folder.remember_identity(executor.identity)
        recorded = record_evidence(worker, needs_of(resolved), store, listen, executor)
        recorded = measure_losses(worker, resolved.detectors, recorded, store, listen)
        detected = detect(resolved.detectors, recorded, listen)
        judged = _judge(worker, detected.found, store, listen)
        prepared = _prepare(resolved, recorded, detected)
        before = worker.checksum()
        evaluation = Evaluation(plan, worker, executor, store, plugins, listen, stop, request.maxfail)
        evaluation.every_draw = request.shard is not None
        with folder.remembering(lambda: evaluation.failed):
            evaluation.run(prepared)
        altered = worker.checksum() != before or executor.altered()
    if altered:
        raise NharnessError("the model's parameters are not what they were before the edits; no record was written")
    if request.last_failed:
        listen(Noted("note", "records are left as they are; run again without --lf to write them whole"))
    if request.shard is not None or request.last_failed:
        return RunResult({}, evaluation.outcomes, (), time.perf_counter() - started, resolved.warnings)
    records = RecordWriter(request, folder, evaluation, prepared, detected.found, judged).write()
    claims = check_claims(resolved.spec.claims, list(records.values()))
    return RunResult(records, evaluation.outcomes, claims, time.perf_counter() - started, resolved.warnings)


def needs_of(resolved: Resolved) -> list[Need]:
    """Return everything that detectors, interventions and controls want recorded; activation counts at least."""
    needs = [Need("activation_count", "gate")]
    for detector in resolved.detectors.values():
        needs += detector.needs()
    for intervention in resolved.interventions.values():
        needs += intervention.needs()
    return list(dict.fromkeys(needs))


def load_worker(resolved: Resolved, listen: Listener) -> Worker:
    """Return the worker of this process, its model loaded and its neurons located."""
    started = time.perf_counter()
    listen(StageStarted("load", 0, ""))
    worker = Worker(resolved)
    widths = worker.neuron_map.layer_widths
    summary = (
        f"{resolved.spec.model.name}: {type(worker.loaded.model).__name__}, "
        f"{worker.loaded.model.num_parameters():,} parameters, {len(widths)} layers, {sum(widths):,} neurons, "
        f"{worker.dtype} on {worker.device}"
    )
    listen(StageFinished("load", time.perf_counter() - started, reused=False, summary=summary))
    return worker


def _judge(worker: Worker, detected: Mapping[str, Detected], store: Store, listen: Listener) -> Judged:
    truths = score_detectors(worker, detected, listen) if worker.resolved.spec.ground_truth else {}
    return Judged(truths, repeat_detection(worker, detected, store, listen))


def _prepare(resolved: Resolved, recorded: Recorded, detected: Detections) -> Prepared:
    sampler = ControlSampler(resolved.spec.controls, resolved.spec.seed, resolved.plugins)
    detections = {name: found.detection for name, found in detected.found.items()}
    return Prepared(resolved.spec, recorded, detections, resolved.interventions, sampler, detected.failed)


def _executor(request: RunRequest, plugins: Plugins) -> type[Executor]:
    """Return what does the work; raises `UsageError` for a name, options or number of workers that cannot be."""
    local = request.executor == "local"
    kind = LocalExecutor if local else plugins.resolve("executors", request.executor)
    if not (isinstance(kind, type) and issubclass(kind, Executor)):
        raise PluginError(f"executor {request.executor!r} is {kind!r}, expected a subclass of nharness.run's Executor")
    kind.check(request.workers, request.executor_options)
    return kind


def _stopping(listen: Listener, stop: Callable[[], bool]) -> Listener:
    """Return a listener that ends the run when `stop` says so, but in evaluation, which ends its cells first."""

    def heard(event: Event) -> None:
        listen(event)
        if isinstance(event, StageAdvanced) and event.stage != EVALUATE and stop():
            raise InterruptedRun(f"stopped in stage {event.stage}")

    return heard
