"""Executors decide where work is done; the local one does it in this process, one piece after the other.

There are two kinds of work: shards of text to record statistics on, and jobs of cells to evaluate.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from nharness.cells import CellOutcome, Edition
from nharness.errors import OptionError, UsageError, nearest
from nharness.recording.recorder import Parts
from nharness.run.plan.collect import collected
from nharness.run.plan.shards import Part, part_of
from nharness.run.work.jobs import Done, Job
from nharness.run.work.recipe import Recipe, recorder_of
from nharness.run.work.worker import Worker
from nharness.statistics import Statistics

Shard = tuple[str, Sequence[Parts]]
"""A language and some of its documents."""
Seen = Callable[[int], None]


class Executor(ABC):
    """Base of executors; made with the worker of this process, the number of workers, and options by name.

    known_options: the names of options. identity: everything about model and software where the work is done that can
    change a number; this process's unless the executor finds another one. Raises as `check`.
    """

    known_options: ClassVar[tuple[str, ...]] = ()

    def __init__(self, worker: Worker, workers: int = 1, options: Mapping[str, Any] | None = None) -> None:
        self.check(workers, options or {})
        self.worker, self.workers, self.options = worker, workers, dict(options or {})
        self.identity: Mapping[str, Any] = worker.identity

    @classmethod
    def check(cls, workers: int, options: Mapping[str, Any]) -> None:
        """Raise `OptionError` for fewer than one worker and for an unknown option; done before a model is loaded."""
        if workers < 1:
            raise OptionError(f"--workers is {workers}; expected at least 1")
        for name in options:
            if name not in cls.known_options:
                raise OptionError(f"unknown executor option {name!r}{nearest(name, cls.known_options)}")

    @abstractmethod
    def record(self, recipe: Recipe, shards: Iterable[Shard], seen: Seen) -> Iterator[dict[str, Statistics]]:
        """Yield the statistics of every shard by site, in the order of the shards; `seen(tokens)` tells of progress."""

    @abstractmethod
    def run(self, jobs: Iterable[Job]) -> Iterator[Done]:
        """Yield every cell of every job once, in any order, as it is done; failures are outcomes, not exceptions."""

    def finish(self) -> Iterator[Done]:
        """Yield the cells that were begun and not yet given back; called when a run is stopped, nothing follows."""
        return iter(())

    def altered(self) -> bool:
        """Tell whether a model elsewhere is not what it was before the edits; this process's is seen to already."""
        return False

    def close(self) -> None:
        """Give back what the executor holds; called once, also after an error."""
        return


class LocalExecutor(Executor):
    """Work in order, in this process."""

    @classmethod
    def check(cls, workers: int, options: Mapping[str, Any]) -> None:
        """Raise `OptionError` for another number of workers than 1, and for any option."""
        if workers > 1 or options:
            asked = f"--workers {workers}" if workers > 1 else f"option {next(iter(options))!r}"
            raise OptionError(f"{asked} is nothing for executor local, which works in one process; try --executor ray")
        super().check(workers, options)

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
    """No work at all: whatever is not in the store is missing. Joins the parts of a run.

    Options: `identity`, by what model and software the parts' numbers were made, which may differ from this process's
    in the device alone; `parts`, which parts of the run there are, and `expression`, what all were cut from.
    """

    known_options = ("identity", "parts", "expression")

    def __init__(self, worker: Worker, workers: int = 1, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(worker, workers, options)
        made_by = self.options.get("identity") or worker.identity
        for name, mine in worker.identity.items():
            if name != "device" and made_by.get(name) != mine:
                raise UsageError(f"the parts were run with {name} {made_by.get(name)}, expected {mine} as it is here")
        self.identity = worker.identity = dict(made_by)

    def record(self, recipe: Recipe, shards: Iterable[Shard], seen: Seen) -> Iterator[dict[str, Statistics]]:
        """Raise `UsageError` naming a language whose statistics are missing."""
        del recipe, seen
        language = next(iter(shards))[0]
        raise UsageError(f"the statistics of {language!r} are in none of the stores; was any part run to its end?")

    def run(self, jobs: Iterable[Job]) -> Iterator[Done]:
        """Yield every cell as failed, since it is in none of the stores, with the part that should have it."""
        for job in jobs:
            reason = self._reason(job.edition)
            for cell, key in zip(job.cells, job.keys, strict=True):
                yield Done(cell, key, CellOutcome("failed", reason=reason))

    def _reason(self, edition: Edition | None) -> str:
        given: Sequence[Part] = self.options.get("parts", ())
        if not given or edition is None:
            return "missing: it is in none of the stores"
        owner = self._owners[edition]
        return f"missing: part {owner} {'did not end with it' if owner in given else 'was not given'}"

    @cached_property
    def _owners(self) -> dict[Edition | None, Part]:
        """The part that each edition belongs to."""
        resolved, of = self.worker.resolved, self.options["parts"][0].of
        _, plan = collected(resolved.spec, resolved.plugins, self.options.get("expression", ""))
        parts = [Part(number + 1, of) for number in range(of)]
        return {edition: part for part in parts for edition in part_of(plan, part).by_edition()}
