"""Executors decide where work is done; the local one does it in this process, one piece after the other.

`Work` says what is done with a piece on a worker: text is recorded, prompts are answered, neurons are ablated, truths
are held against detectors, cells are evaluated. An executor knows nothing of that: it hands pieces out and results on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar

from nharness.cells import Edition
from nharness.errors import NharnessError, OptionError, UsageError, nearest
from nharness.run.plan.parts import Part, part_of
from nharness.run.plan.planned import planned
from nharness.run.work.jobs import Job
from nharness.run.work.worker import Worker

Seen = Callable[[int], None]
"""Hears of tokens as they are done; a negative number takes some back."""


def unheard(_tokens: int) -> None:
    """Ignore how many tokens were done: for unobserved work."""


P = TypeVar("P")
R = TypeVar("R")


class Work(ABC, Generic[P, R]):
    """What is done with the pieces of one kind: a plain value, so that it can travel to another process or machine.

    in_order: a piece has exactly one result, and results are returned in the order of the pieces.
    """

    in_order: ClassVar[bool] = False

    @abstractmethod
    def begin(self, worker: Worker, seen: Seen) -> Callable[[P], Iterator[R]]:
        """Return what yields the results of one piece after the other on a worker; called once a worker."""

    def tokens(self, piece: P) -> int:
        """Return how many tokens `seen` is to be told of when the piece was done elsewhere."""
        del piece
        return 0

    def divided(self, piece: P, parts: int) -> Sequence[P]:
        """Return the piece in up to `parts` smaller ones, for workers that would stand idle."""
        del parts
        return (piece,)

    def left(self, piece: P, result: R) -> P:
        """Return what is still to be done of a piece after one of its results came back."""
        del result
        return piece

    def lost(self, piece: P, reason: str) -> Iterator[R]:
        """Yield results for a piece that could not be done; raises `NharnessError` where there can be none."""
        del piece
        raise NharnessError(reason)


class Executor(ABC):
    """Base of executors; made with the worker of this process, the number of workers, and options by name.

    known_options: the names of options. identity: everything about model and software where the work is done that can
    change a number; this process's unless the executor finds another one. remote: pieces leave this process, so that
    what comes back must be checked to be of the same text and files. computes: it works, and needs what tasks bring
    along. Raises as `check`.
    """

    known_options: ClassVar[tuple[str, ...]] = ()
    remote: ClassVar[bool] = False
    computes: ClassVar[bool] = True

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
    def map(self, work: Work[P, R], pieces: Iterable[P], seen: Seen) -> Iterator[R]:
        """Yield every result of every piece, as it is done, in any order unless the work is `in_order`.

        Pieces are taken as they can be worked on, so that they may be made while others are done. `seen` hears of
        tokens. Raises what the work raises; a piece that cannot be done at all is `lost`.
        """

    def finish(self) -> Iterator[Any]:
        """Yield the results that were begun and not yet given back; called when a run is stopped, nothing follows."""
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
        if workers > 1:
            raise OptionError(f"the local executor uses one process; --workers {workers} needs --executor ray")
        if options:
            raise OptionError(f"the local executor takes no options; got {next(iter(options))!r}, try --executor ray")
        super().check(workers, options)

    def map(self, work: Work[P, R], pieces: Iterable[P], seen: Seen) -> Iterator[R]:
        """Yield results in the order of the pieces."""
        done = work.begin(self.worker, seen)
        for piece in pieces:
            yield from done(piece)


class StoredExecutor(Executor):
    """No work at all: whatever is not in the store is missing. Joins the parts of a run.

    Options: `identity`, by what model and software the parts' numbers were made, which may differ from this process's
    in the device alone, and `recording`, by what their neurons were found, where that was another number type; `parts`,
    which parts of the run there are, and `expression`, what all were cut from.
    """

    known_options = ("identity", "recording", "parts", "expression")
    computes = False

    def __init__(self, worker: Worker, workers: int = 1, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(worker, workers, options)
        evaluated, recorded = (self.options.get(name) for name in ("identity", "recording"))
        here = recorded is not None and recorded.get("dtype") == worker.identity["dtype"]
        made_by = (recorded if here else evaluated) or worker.identity
        for name, mine in worker.identity.items():
            if name != "device" and made_by.get(name) != mine:
                raise UsageError(f"the parts were run with {name} {made_by.get(name)}, expected {mine} as it is here")
        self.identity = dict(made_by)

    def map(self, work: Work[P, R], pieces: Iterable[P], seen: Seen) -> Iterator[R]:
        """Give every piece up, since it is in none of the stores, with the part that should have it."""
        del seen
        for piece in pieces:
            yield from work.lost(piece, self._reason(piece))

    def _reason(self, piece: object) -> str:
        given: Sequence[Part] = self.options.get("parts", ())
        edition = piece.edition if isinstance(piece, Job) else None
        if edition is None:
            return "no store has them; did any part run to its end?"
        if not given:
            return "missing: no store has it"
        owner = self._owners[edition]
        return f"missing: part {owner} {'did not finish it' if owner in given else 'was not given'}"

    @cached_property
    def _owners(self) -> dict[Edition | None, Part]:
        """The part that each edition belongs to."""
        resolved, of = self.worker.resolved, self.options["parts"][0].of
        _, plan = planned(resolved.spec, resolved.plugins, self.options.get("expression", ""))
        parts = [Part(number + 1, of) for number in range(of)]
        return {edition: part for part in parts for edition in part_of(plan, part).by_edition()}
