"""Executors decide where jobs run; the local one runs them in this process, one after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

from nharness.run.jobs import Done, Job
from nharness.run.worker import Worker


class Executor(ABC):
    """Base of executors; made with the worker of this process, the number of workers, and options."""

    def __init__(self, worker: Worker, workers: int = 1) -> None:
        self.worker, self.workers = worker, workers

    @abstractmethod
    def run(self, jobs: Iterable[Job]) -> Iterator[Done]:
        """Yield every cell of every job once, in any order, as it is done; failures are outcomes, not exceptions."""

    def close(self) -> None:
        """Give back what the executor holds; called once, also after an error."""
        return


class LocalExecutor(Executor):
    """Jobs in order, in this process."""

    def run(self, jobs: Iterable[Job]) -> Iterator[Done]:
        """Yield cells in the order of the plan."""
        for job in jobs:
            yield from self.worker.evaluate(job)
