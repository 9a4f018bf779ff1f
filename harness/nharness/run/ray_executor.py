"""Work on Ray: actors that keep the model loaded, on one machine or many.

1. Every actor makes a worker of its own from the specification and the arguments that plug-ins were loaded with.
2. A piece of work (a shard of text, or a job's cells) goes to the next free actor. Its results come back one by one, so
   that a cell is in the store as soon as it is evaluated.
3. When an actor dies, what it had not given back is put in front of the queue, and another actor takes its place. Work
   under which `TRIES` actors died is given up: a shard stops the run, a cell fails.
4. Shards are handed on in their order, whoever recorded them, so that their sum is the same bytes as in one process.

Options: `address` of a running cluster ("auto" finds it; without, one is started on this machine for the run), `cpus`
and `gpus` of an actor (default 1 CPU, and 1 GPU where this process's model is on one).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch

from nharness.errors import NharnessError, OptionError, PluginError, UnknownNameError
from nharness.plugins import Plugins
from nharness.recording import Recorder
from nharness.run.cells import CellOutcome
from nharness.run.executor import Executor, Seen, Shard
from nharness.run.jobs import Done, Job
from nharness.run.recipe import Recipe, recorder_of
from nharness.run.resolve import resolve
from nharness.run.worker import Worker
from nharness.spec import RunSpec
from nharness.statistics import Statistics

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

try:
    import ray
    from ray.exceptions import RayActorError, RayTaskError, WorkerCrashedError
except ImportError as error:  # pragma: no cover - the package is an extra
    raise PluginError("executor 'ray' needs the package ray: pip install 'nharness[ray]'") from error

OPTIONS = ("address", "cpus", "gpus")
OBJECT_STORE = 100 * 1024 * 1024
LOOPBACK = "127.0.0.1"
TRIES = 3
STARTS = 5


@dataclass(frozen=True)
class Piece:
    """Work for one actor: a method and its arguments; `number` says which piece it is, `tries` how many actors died."""

    number: int
    method: str
    arguments: tuple[Any, ...]
    tries: int = 0


@dataclass(frozen=True)
class Lost:
    """A piece that was given up, and why."""

    piece: Piece
    reason: str


class RayWorker:
    """What runs in an actor: a worker that is made there and stays."""

    def __init__(self, spec: Mapping[str, Any], plugins: Mapping[str, Any], threads: int) -> None:
        torch.set_num_threads(threads)  # sums come out the same, bit by bit, with the same number of threads
        self._worker = Worker(resolve(RunSpec.model_validate(spec), Plugins(**plugins)))
        self._recorders: dict[str, Recorder] = {}

    def record(self, name: str, recipe: Recipe, language: str, documents: Sequence[Any]) -> Iterator[Any]:
        """Yield a shard's statistics, or the reason why there are none; equal names are equal recipes."""
        try:
            if name not in self._recorders:
                self._recorders = {name: recorder_of(self._worker, recipe)}
            yield self._recorders[name].record_shard(language, documents)
        except NharnessError as error:  # errors of ours do not all survive pickling
            yield str(error)

    def evaluate(self, job: Job) -> Iterator[Done]:
        """Yield every cell of the job."""
        yield from self._worker.evaluate(job)


class RayExecutor(Executor):
    """Work on actors; raises `OptionError` for options out of range and `NharnessError` when Ray cannot be reached."""

    def __init__(self, worker: Worker, workers: int = 1, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(worker, workers, options)
        for name in self.options:
            if name not in OPTIONS:
                raise UnknownNameError("option of executor ray", name, OPTIONS)
        if workers < 1:
            raise OptionError(f"--workers is {workers}; expected at least 1")
        self._connect(self.options.get("address"))
        resources = {
            "num_cpus": self.options.get("cpus", 1),
            "num_gpus": self.options.get("gpus", int(worker.device.type == "cuda")),
        }
        kind = ray.remote(**resources, max_restarts=0)(RayWorker)
        arguments = (
            worker.resolved.spec.model_dump(mode="json"), dict(worker.resolved.plugins.arguments),
            torch.get_num_threads(),
        )  # fmt: skip
        self._pool = Pool(lambda: kind.remote(*arguments), workers)

    def record(self, recipe: Recipe, shards: Iterable[Shard], seen: Seen) -> Iterator[dict[str, Statistics]]:
        """Yield the statistics of every shard in order; raises `NharnessError` for a shard that cannot be recorded."""
        shared = ray.put(recipe)
        pieces = (Piece(number, "record", (shared.hex(), shared, *shard)) for number, shard in enumerate(shards))
        waiting: dict[int, dict[str, Statistics]] = {}
        wanted = 0
        for piece, result in self._pool.run(pieces):
            if not isinstance(result, dict):
                raise NharnessError(result.reason if isinstance(result, Lost) else str(result))
            waiting[piece.number] = result
            seen(sum(part.counted for parts in piece.arguments[-1] for part in parts))
            while wanted in waiting:
                yield waiting.pop(wanted)
                wanted += 1

    def run(self, jobs: Iterable[Job]) -> Iterator[Done]:
        """Yield cells as actors give them back; a cell under which actors keep dying fails."""
        pieces = (Piece(number, "evaluate", (job,)) for number, job in enumerate(spread(jobs, self.workers)))
        for _, result in self._pool.run(pieces):
            if not isinstance(result, Lost):
                yield result
                continue
            job: Job = result.piece.arguments[0]
            for cell, key in zip(job.cells, job.keys, strict=True):
                yield Done(cell, key, CellOutcome("failed", reason=result.reason))

    def close(self) -> None:
        """Stop the actors, and the cluster that was started for them."""
        self._pool.close()
        ray.shutdown()

    def _connect(self, address: str | None) -> None:
        """Join a cluster, or start one: a busy machine may need more than one try."""
        settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "ignore_reinit_error": True}
        if address is not None:
            settings["address"] = address
        else:
            settings |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE, "_node_ip_address": LOOPBACK,
                         "num_cpus": max(os.cpu_count() or 1, self.workers)}  # fmt: skip
        reason = ""
        for _ in range(STARTS if address is None else 1):
            try:
                ray.init(**settings)
            except Exception as error:  # noqa: BLE001 - Ray raises bare Exception when its processes start too slowly
                ray.shutdown()
                reason = str(error)
            else:
                return
        raise NharnessError(f"Ray cannot be {f'reached at {address!r}' if address else 'started here'}: {reason}")


class Pool:
    """A fixed number of actors that pieces are handed to; dead ones are replaced."""

    def __init__(self, make: Any, size: int) -> None:
        self._make = make
        self._idle = [make() for _ in range(size)]
        self._busy: dict[Any, tuple[Any, Piece]] = {}  # by the stream of its results

    def run(self, pieces: Iterable[Piece]) -> Iterator[tuple[Piece, Any]]:
        """Yield every result of every piece with its piece, in any order; a piece given up comes as `Lost`."""
        source, again = iter(pieces), deque[Piece]()
        while True:
            while self._idle and (piece := again.popleft() if again else next(source, None)) is not None:
                actor = self._idle.pop()
                stream = getattr(actor, piece.method).options(num_returns="streaming").remote(*piece.arguments)
                self._busy[stream] = (actor, piece)
            if not self._busy:
                return
            ready: list[Any] = ray.wait(list(self._busy), num_returns=1)[0]
            for stream in ready:
                actor, piece = self._busy.pop(stream)
                try:
                    result = ray.get(next(stream))
                except StopIteration:
                    self._idle.append(actor)
                except (RayActorError, WorkerCrashedError) as error:
                    self._idle.append(self._make())
                    if piece.tries + 1 < TRIES:
                        again.append(replace(piece, tries=piece.tries + 1))
                    else:
                        reason = f"{TRIES} workers died while they were at it; the last: {str(error)[:500]}"
                        yield piece, Lost(piece, reason)
                except RayTaskError as error:
                    self._idle.append(actor)
                    yield piece, Lost(piece, f"a worker failed: {error.cause!r}")
                else:
                    self._busy[stream] = (actor, remaining(piece, result))
                    yield piece, result

    def close(self) -> None:
        """Stop every actor."""
        for actor in [*self._idle, *(actor for actor, _ in self._busy.values())]:
            ray.kill(actor)
        self._idle, self._busy = [], {}


def remaining(piece: Piece, result: Any) -> Piece:
    """Return what is left of a piece after one of its results came back."""
    if not isinstance(result, Done):
        return piece
    job: Job = piece.arguments[0]
    left = [(cell, key) for cell, key in zip(job.cells, job.keys, strict=True) if cell != result.cell]
    cells, keys = tuple(cell for cell, _ in left), tuple(key for _, key in left)
    return replace(piece, arguments=(replace(job, cells=cells, keys=keys),), tries=0)


def spread(jobs: Iterable[Job], workers: int) -> Iterator[Job]:
    """Yield jobs, the last ones cut into parts so that no worker stands idle while another has many cells left."""
    source = iter(jobs)
    while ahead := list(islice(source, workers)):
        parts = 1 if len(ahead) == workers else -(-workers // len(ahead))
        for job in ahead:
            size = -(-len(job.cells) // parts)
            for first in range(0, len(job.cells), size):
                chosen = slice(first, first + size)
                yield replace(job, cells=job.cells[chosen], keys=job.keys[chosen])
