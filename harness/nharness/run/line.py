"""The line itself: specification in, records out. Read from top to bottom, it is what nharness does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from nharness.cells import Cell, CellOutcome
from nharness.claims import ClaimResult, check_claims
from nharness.errors import InterruptedRun, NharnessError, PluginError
from nharness.events import (
    CellFinished,
    Event,
    Listener,
    Noted,
    StageAdvanced,
    StageFinished,
    StageStarted,
    ignore,
)
from nharness.plugins import Plugins
from nharness.record.model import Record
from nharness.run.context import RunContext, never
from nharness.run.plan.parts import part_of
from nharness.run.plan.plan import Plan
from nharness.run.plan.planned import check_tasks, check_text, described_plan, planned
from nharness.run.plan.rates import remember_rate
from nharness.run.plan.request import RunRequest
from nharness.run.plan.resolve import Resolved
from nharness.run.results.folder import RECORDED_BY, RunFolder
from nharness.run.results.writer import Products, RecordWriter
from nharness.run.stages.ablate import ablate
from nharness.run.stages.answer import answer
from nharness.run.stages.assess import Assessed, assess
from nharness.run.stages.climb import STAGE as CLIMB
from nharness.run.stages.climb import Ladders, climb
from nharness.run.stages.detect import Detections, detect
from nharness.run.stages.editions import Editions
from nharness.run.stages.evaluate import STAGE as EVALUATE
from nharness.run.stages.evaluate import evaluate
from nharness.run.stages.lens import read_layers
from nharness.run.stages.record import Recorded, needs_of, record
from nharness.run.stages.repeats import require_blocks
from nharness.run.store import Store
from nharness.run.work.executor import Executor, LocalExecutor
from nharness.run.work.prompt_answers import Answered
from nharness.run.work.worker import Worker

LARGE = 10_000_000
"""Parameters from which on it is worth saying that another number type is faster."""
OF_CELLS = (EVALUATE, CLIMB)
"""Stages that ask themselves, between two cells, whether the run is to end."""


@dataclass(frozen=True)
class RunResult:
    """What a run gave: records with their paths, every cell's outcome, claims checked, seconds per stage."""

    records: Mapping[Path, Record]
    outcomes: Mapping[Cell, CellOutcome]
    claims: Sequence[ClaimResult] = ()
    seconds: float = 0.0
    warnings: Sequence[str] = field(default=())
    ladders: Ladders = field(default_factory=Ladders)
    strict_claims: bool = False

    @property
    def failed(self) -> list[Cell]:
        """Cells that failed."""
        return [cell for cell, outcome in self.outcomes.items() if outcome.status == "failed"]

    @property
    def exit_code(self) -> int:
        """0 when all cells ran and no claim failed, nor is undecided where that is asked, else 1."""
        bad = {"fails", "undecided"} if self.strict_claims else {"fails"}
        return int(bool(self.failed) or any(claim.verdict in bad for claim in self.claims))


def run(
    request: RunRequest, plugins: Plugins, *, listen: Listener = ignore, stop: Callable[[], bool] = never
) -> RunResult:
    """Run a specification and return its records, each validated and written.

    Raises `UsageError` for input that is wrong, `InterruptedRun` when `stop` says so between two cells; what was done
    until then is in the store, and the same request goes on from there.
    """
    started = time.perf_counter()
    make = executor_of(request, plugins)
    resolved, plan = planned(request.spec, plugins, request.expression)
    folder = RunFolder(request.out)
    request = folder.begin(request, resolved.spec)
    if request.last_failed:
        plan = folder.last_failed(plan)
    plan = part_of(plan, request.shard) if request.shard else plan
    plugins.hook.nharness_run_started(configuration=resolved.spec.model_dump(mode="json"))
    listen(described_plan(resolved, plan, whole=not request.part))
    for text in resolved.warnings:
        listen(Noted("warning", text))

    check_text(resolved)
    if make.computes:
        check_tasks(resolved, plan)
    failures = FailedCells()
    heard = _stopping(_both(listen, failures), stop)
    shared = _Shared(request, plan, make, Store(request.store or folder.path / "store"), heard, stop)
    found = None
    if (recording := as_recording(resolved)) is not None:
        with shared.with_model(recording) as context:
            folder.remember_identity(context.identity, name=RECORDED_BY)
            found = find(context)
    with shared.with_model(resolved) as context, folder.remembering(lambda: failures.cells):
        folder.remember_identity(context.identity)
        made = products(context, found or find(context))
    remember_rate(resolved.spec.model, made.evaluated.outcomes.values())
    if request.last_failed:
        listen(Noted("note", "records were not rewritten; run again without --lf to write them in full"))
    if request.part:
        return RunResult({}, made.evaluated.outcomes, (), time.perf_counter() - started, resolved.warnings)
    records = RecordWriter(request, folder, made).write()
    claims = check_claims(resolved.spec.claims, list(records.values()), plugins.makers("claims"))
    seconds = time.perf_counter() - started
    strict = resolved.spec.strict_claims
    return RunResult(records, made.evaluated.outcomes, claims, seconds, resolved.warnings, made.ladders, strict)


@dataclass(frozen=True)
class Findings:
    """What is known before anything is switched off: answers to prompts, statistics, detections, how good they are."""

    answered: Answered | None
    recorded: Recorded
    detected: Detections
    assessed: Assessed


def find(context: RunContext) -> Findings:
    """Return what the first stages make, one from the other."""
    require_blocks(context)
    answered = answer(context)
    context = context.reading(answered)
    recorded = ablate(context, record(context, needs_of(context.resolved)))
    detected = detect(context, recorded)
    return Findings(answered, recorded, detected, assess(context, detected.found))


def products(context: RunContext, found: Findings) -> Products:
    """Return what the other stages make of the findings: cells, ladders, layers."""
    context = context.reading(found.answered)
    editions = Editions.of(context, found.recorded, found.detected, found.assessed.repeated.folds)
    evaluated = evaluate(context, editions)
    ladders = climb(context, editions, evaluated)
    layers = read_layers(context)
    return Products(context, editions, evaluated, ladders, found.detected.found, found.assessed, layers)


def as_recording(resolved: Resolved) -> Resolved | None:
    """Return the run with the model as it is while neurons are found; None where that is as ever, or none is needed."""
    model = resolved.spec.model
    if model.record_dtype in (None, model.dtype):
        return None
    if not any(detector.needs() or detector.ablation_tokens() for detector in resolved.detectors.values()):
        return None
    args = {name: value for name, value in model.args.items() if name != "dtype"}
    other = model.model_copy(update={"dtype": model.record_dtype, "args": args})
    return replace(resolved, spec=resolved.spec.model_copy(update={"model": other}))


@dataclass(frozen=True)
class _Shared:
    """What the contexts of a run share, however many models it loads one after the other."""

    request: RunRequest
    plan: Plan
    make: type[Executor]
    store: Store
    listen: Listener
    stop: Callable[[], bool]

    @contextmanager
    def with_model(self, resolved: Resolved) -> Iterator[RunContext]:
        """Load the model and yield what stages are given; raises `NharnessError` where their work changed a weight."""
        request, worker = self.request, load_worker(resolved, self.listen)
        before = worker.checksum()
        with closing(self.make(worker, request.workers, request.executor_options)) as executor:
            yield RunContext(
                resolved,
                self.plan,
                executor,
                self.store,
                self.listen,
                self.stop,
                part=request.part,
                maxfail=request.maxfail,
            )
            altered = worker.checksum() != before or executor.altered()
        if altered:
            raise NharnessError("the model's parameters differ from before the edits; no record was written")


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
    if worker.loaded.model.num_parameters() >= LARGE and worker.loaded.faster_in_bfloat16:
        listen(Noted("note", "--dtype bfloat16 would be faster here; docs/evaluation.md says when it is safe"))
    return worker


def executor_of(request: RunRequest, plugins: Plugins) -> type[Executor]:
    """Return what does the work; raises `UsageError` for a name, options or number of workers that cannot be."""
    kind = executor_named(request.executor, plugins)
    kind.check(request.workers, request.executor_options)
    return kind


class FailedCells:
    """Hears which cells failed, also of a run that is interrupted."""

    def __init__(self) -> None:
        self._failed: dict[Cell, None] = {}

    def __call__(self, event: Event) -> None:
        """Note a cell that failed."""
        if isinstance(event, CellFinished) and event.outcome.status == "failed":
            self._failed[event.cell] = None

    @property
    def cells(self) -> list[Cell]:
        """In the order in which they failed."""
        return list(self._failed)


def _both(*listeners: Listener) -> Listener:
    def heard(event: Event) -> None:
        for listen in listeners:
            listen(event)

    return heard


def executor_named(name: str, plugins: Plugins) -> type[Executor]:
    """Return the executor of a name or a `module:attribute` path; raises `PluginError` for anything else."""
    kind = LocalExecutor if name == "local" else plugins.resolve("executors", name)
    if not (isinstance(kind, type) and issubclass(kind, Executor)):
        raise PluginError(f"executor {name!r} is {kind!r}, expected a subclass of nharness.run's Executor")
    return kind


def _stopping(listen: Listener, stop: Callable[[], bool]) -> Listener:
    """Return a listener that ends the run when `stop` says so, but in stages of cells, which end those first."""

    def heard(event: Event) -> None:
        listen(event)
        if isinstance(event, StageAdvanced) and event.stage not in OF_CELLS and stop():
            raise InterruptedRun(f"stopped in stage {event.stage}")

    return heard
