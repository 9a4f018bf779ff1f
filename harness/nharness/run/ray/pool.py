"""A pool of Ray actors: work is handed to them, and dead ones are replaced.

An actor is greeted before it is given work. When it dies, what it had not given back is put in front of the queue, and
another takes its place. Work under which `TRIES` actors died is given up; so is everything when that many in a row died
before they could answer.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from nharness.errors import NharnessError

TRIES = 3


@dataclass(frozen=True)
class Assignment:
    """Work for one actor: a method and its arguments, the last of which is what `work` is done with.

    number: which assignment it is. tries: how many actors died under it.
    """

    number: int
    method: str
    arguments: tuple[Any, ...]
    tries: int = 0
    work: Any = None


@dataclass(frozen=True)
class Lost:
    """An assignment that was given up, and why."""

    assignment: Assignment
    reason: str


GREETING = Assignment(-1, "greet", ())


class Pool:
    """A fixed number of actors.

    make: gives a new actor, whose methods yield. welcome: is given what an actor's `greet` yields; raises for one that
    is not to be worked with.
    """

    def __init__(self, make: Callable[[], Any], size: int, welcome: Callable[[Any], None]) -> None:
        self._make, self._welcome = make, welcome
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, Assignment]] = {}  # by the stream of its results
        self._again: deque[Assignment] = deque()
        self._stillborn = 0
        for _ in range(size):
            self._begin(make(), GREETING)

    def ready(self) -> None:
        """Wait until one actor can be worked with; raises `NharnessError` when none can be."""
        while not self._idle:
            list(self._results())

    def run(self, assignments: Iterable[Assignment]) -> Iterator[tuple[Assignment, Any]]:
        """Yield every result with its assignment, in any order; one that was given up comes as `Lost`."""
        source = iter(assignments)
        while True:
            while self._idle and (new := self._again.popleft() if self._again else next(source, None)) is not None:
                self._begin(self._idle.pop(), new)
            if not self._working() and self._idle:
                return
            yield from self._results()

    def finish(self) -> Iterator[tuple[Assignment, Any]]:
        """Yield what lies ready and the result every actor is at; what would come after is given up."""
        for stream in self._working():
            lay_ready = True
            while lay_ready and stream in self._busy:
                lay_ready = bool(ray.wait([stream], timeout=0)[0])
                yield from self._take(stream)

    def ask(self, method: str) -> list[Any]:
        """Return what a plain method of every idle actor returns; dead ones say nothing."""
        found = []
        for actor in self._idle:
            try:
                found.append(ray.get(getattr(actor, method).remote()))
            except RayError:
                continue
        return found

    def close(self) -> None:
        """Stop every actor."""
        for actor in [*self._idle, *(actor for actor, _ in self._busy.values())]:
            ray.kill(actor)
        self._idle, self._busy = [], {}

    def _begin(self, actor: Any, assignment: Assignment) -> None:
        stream = getattr(actor, assignment.method).options(num_returns="streaming").remote(*assignment.arguments)
        self._busy[stream] = (actor, assignment)

    def _working(self) -> list[Any]:
        return [stream for stream, (_, assignment) in self._busy.items() if assignment is not GREETING]

    def _results(self) -> Iterator[tuple[Assignment, Any]]:
        for stream in ray.wait(list(self._busy), num_returns=1)[0]:
            yield from self._take(stream)

    def _take(self, stream: Any) -> Iterator[tuple[Assignment, Any]]:
        """Yield the next result of a stream, if it is one of an assignment; see to its actor when there is none."""
        actor, assignment = self._busy.pop(stream)
        try:
            result = ray.get(next(stream))
        except StopIteration:
            self._idle.append(actor)
        except RayTaskError as error:
            if assignment is GREETING:
                raise NharnessError(f"a worker failed: {error.cause!r}") from error
            self._idle.append(actor)
            yield assignment, Lost(assignment, f"a worker failed: {error.cause!r}")
        except RayError as error:
            yield from self._replace(actor, assignment, shortened(str(error)))
        else:
            self._busy[stream] = (actor, remaining(assignment, result))
            self._stillborn = 0
            if assignment is GREETING:
                self._welcome(result)
            else:
                yield assignment, result

    def _replace(self, dead: Any, assignment: Assignment, reason: str) -> Iterator[tuple[Assignment, Any]]:
        ray.kill(dead)  # it may only be out of reach
        if assignment is GREETING:
            self._stillborn += 1
            if self._stillborn >= TRIES:
                raise NharnessError(f"{TRIES} workers in a row died before they could work; the last: {reason}")
        elif assignment.tries + 1 < TRIES:
            self._again.append(replace(assignment, tries=assignment.tries + 1))
        else:
            yield assignment, Lost(assignment, f"{TRIES} workers died at the same piece of work; the last: {reason}")
        self._begin(self._make(), GREETING)


def shortened(message: str) -> str:
    """Return what Ray says in one line: the last error of a traceback, else the beginning."""
    errors = [line for line in message.splitlines() if re.match(r"[\w.]+(Error|Exception|Exit): ", line)]
    return " ".join((errors[-1] if errors else message).split())[:400]


def remaining(assignment: Assignment, result: Any) -> Assignment:
    """Return what is left of an assignment after one of its results came back."""
    if assignment.work is None:
        return assignment
    own = assignment.work.left(assignment.arguments[-1], result)
    return replace(assignment, arguments=(*assignment.arguments[:-1], own), tries=0)
