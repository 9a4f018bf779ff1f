"""What runs in an actor: a worker that is made there, is held against the one of the run's process, and stays."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from nharness.cells import CellOutcome
from nharness.corpora import Document
from nharness.errors import NharnessError
from nharness.plugins import Plugins
from nharness.recording import Recorder
from nharness.run.plan.resolve import Resolved, resolve
from nharness.run.stages.answer import with_answers
from nharness.run.work.jobs import Done, Job, changes_digest
from nharness.run.work.recipe import Recipe, recorder_of
from nharness.run.work.worker import Worker
from nharness.spec import RunSpec


@dataclass(frozen=True)
class Order:
    """What makes an actor's worker the same as this process's.

    spec, plugins: what the worker is made from. threads: of torch, since sums come out the same, bit by bit, with the
    same number of them. folder, path: where relative names and modules are looked for. answered: what the run's model
    wrote where the corpus had open prompts, and how; None where it wrote nothing.
    """

    spec: Mapping[str, Any]
    plugins: Mapping[str, Any]
    threads: int
    folder: str
    path: tuple[str, ...]
    answered: tuple[Mapping[str, Sequence[Document]], str] | None = None

    @classmethod
    def of(cls, worker: Worker) -> Order:
        """Return the order for workers like `worker`, in this process's folder."""
        resolved = worker.resolved
        path = tuple(str(Path(entry).absolute()) for entry in sys.path)
        return cls(
            resolved.spec.model_dump(mode="json"),
            dict(resolved.plugins.arguments),
            torch.get_num_threads(),
            str(Path.cwd()),
            path,
            _answered(resolved),
        )


class RayWorker:
    """The actor's methods; every one yields, so that results go back one by one."""

    def __init__(self, order: Order) -> None:
        torch.set_num_threads(order.threads)
        self._recorders: dict[str, Recorder] = {}
        self._problem = ""
        _stand_in(order)
        try:
            resolved = resolve(RunSpec.model_validate(order.spec), Plugins(**order.plugins))
            if order.answered is not None:
                resolved = replace(resolved, corpus=with_answers(resolved.corpus, *order.answered))
            self._worker = Worker(resolved)
            self._before = self._worker.checksum()
        except NharnessError as error:  # errors of ours do not all survive pickling
            self._problem = str(error)

    def greet(self) -> Iterator[dict[str, Any] | str]:
        """Yield who this worker is, or why there is none."""
        yield self._problem or introduction(self._worker)

    def record(self, name: str, recipe: Recipe, language: str, documents: Sequence[Any]) -> Iterator[Any]:
        """Yield a shard's statistics, or the reason why there are none; equal names are equal recipes."""
        try:
            if name not in self._recorders:
                self._recorders = {name: recorder_of(self._worker, recipe)}
            yield self._recorders[name].record_shard(language, documents)
        except NharnessError as error:
            yield str(error)

    def evaluate(self, job: Job) -> Iterator[Done]:
        """Yield every cell of the job; one whose key comes out otherwise here would be something else, and fails."""
        worker = self._worker
        digest = changes_digest(job.changes, corpus=worker.resolved.corpus.fingerprint)
        left = dict(zip(job.cells, job.keys, strict=True))
        for cell in [cell for cell, key in left.items() if worker.key(cell, digest, worker.identity) != key]:
            reason = "a worker has other text or other files of this task than the process that runs all"
            yield Done(cell, left.pop(cell), CellOutcome("failed", reason=reason))
        yield from worker.evaluate(replace(job, cells=tuple(left), keys=tuple(left.values())))

    def altered(self) -> bool:
        """Tell whether the model's parameters are no longer what they were."""
        return self._worker.checksum() != self._before


def _answered(resolved: Resolved) -> tuple[Mapping[str, Sequence[Document]], str] | None:
    how = resolved.corpus.notes.get("answers")
    if how is None:
        return None
    return {tag: list(resolved.corpus.documents(tag, "detect")) for tag in resolved.languages}, how


def introduction(worker: Worker) -> dict[str, Any]:
    """Return everything that must be the same wherever a run's work is done."""
    plugins = worker.resolved.plugins
    active = sorted(f"{s.name} {s.version}".strip() for s in plugins.statuses if s.status == "active")
    return {**worker.identity, "plug-ins": active}


def difference(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """Return the first thing in which a worker is not as it should be, in words; "" for none."""
    for name in mine:
        if theirs.get(name) != mine[name]:
            return f"a worker has {name} {theirs.get(name)}, expected {mine[name]}: the same everywhere"
    return ""


def _stand_in(order: Order) -> None:
    """Take the place of the run's process: its working folder and import path, where they exist here."""
    if Path(order.folder).is_dir():
        os.chdir(order.folder)
    sys.path += [entry for entry in order.path if entry not in sys.path]
