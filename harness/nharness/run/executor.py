"""Executors decide where work is done; the local one does it in this process, one piece after the other.

There are two kinds of work: shards of text to record statistics on, and jobs of cells to evaluate.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from nharness.errors import UsageError
from nharness.recording.recorder import Parts
from nharness.run.cells import CellOutcome
from nharness.run.jobs import Done, Job
from nharness.run.recipe import Recipe, recorder_of
from nharness.run.worker import Worker
from nharness.statistics import Statistics

Shard = tuple[str, Sequence[Parts]]
"""A language and some of its documents."""
Seen = Callable[[int], None]


class Executor(ABC):
    """Base of executors; made with the worker of this process, the number of workers, and options by name."""

    def __init__(self, worker: Worker, workers: int = 1, options: Mapping[str, Any] | None = None) -> None:
        self.worker, self.workers, self.options = worker, workers, dict(options or {})

    @abstractmethod
    def record(self, recipe: Recipe, shards: Iterable[Shard], seen: Seen) -> Iterator[dict[str, Statistics]]:
        """Yield the statistics of every shard by site, in the order of the shards; `seen(tokens)` tells of progress."""

    @abstractmethod
    def run(self, jobs: Iterable[Job]) -> Iterator[Done]:
        """Yield every cell of every job once, in any order, as it is done; failures are outcomes, not exceptions."""

    def close(self) -> None:
        """Give back what the executor holds; called once, also after an error."""
        return


class LocalExecutor(Executor):
    """Work in order, in this process."""

    def record(self, recipe: Recipe, shards: Iterable[Shard], seen: Seen) -> Iterator[dict[str, Statistics]]:
        """Yield the statistics of one shard after the other."""
        recorder = recorder_of(self.worker, recipe)
        for language, documents in shards:
            yield recorder.record_shard(language, documents, seen)

    def run(self, jobs: Iterable[Job]) -> Iterator[Done]:
        """Yield cells in the order of the plan."""
        for job in jobs:
            yield from self.worker.evaluate(job)


class StoredExecutor(Executor):
    """No work at all: whatever is not in the store is missing. Joins the parts of a run."""

    def record(self, recipe: Recipe, shards: Iterable[Shard], seen: Seen) -> Iterator[dict[str, Statistics]]:
        """Raise `UsageError` naming a language whose statistics are missing."""
        del recipe, seen
        language = next(iter(shards))[0]
        raise UsageError(f"the statistics of {language!r} are in none of the stores; was any part run to its end?")

    def run(self, jobs: Iterable[Job]) -> Iterator[Done]:
        """Yield every cell as failed, since it is in none of the stores."""
        for job in jobs:
            for cell, key in zip(job.cells, job.keys, strict=True):
                yield Done(cell, key, CellOutcome("failed", reason="missing: it is in none of the stores"))
