"""What runs in an actor: a worker that is made there, is held against the one of the run's process, and stays."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nharness.errors import NharnessError
from nharness.plugins import Plugins
from nharness.run.plan.resolve import resolve
from nharness.run.work.executor import Work, unheard
from nharness.run.work.worker import Worker
from nharness.spec import RunSpec


@dataclass(frozen=True)
class Order:
    """What makes an actor's worker the same as this process's.

    spec, plugins: what the worker is made from. threads: of torch, since sums come out the same, bit by bit, with the
    same number of them. folder, path: where relative names and modules are looked for.
    """

    spec: Mapping[str, Any]
    plugins: Mapping[str, Any]
    threads: int
    folder: str
    path: tuple[str, ...]

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
        )


@dataclass(frozen=True)
class Refused:
    """Why a piece of work was not done, in words: nharness errors do not all survive pickling."""

    reason: str


class RayWorker:
    """The actor's methods; every one yields, so that results go back one by one."""

    def __init__(self, order: Order) -> None:
        torch.set_num_threads(order.threads)
        self._begun: dict[str, Callable[[Any], Iterator[Any]]] = {}
        self._problem = ""
        _stand_in(order)
        try:
            self._worker = Worker(resolve(RunSpec.model_validate(order.spec), Plugins(**order.plugins)))
            self._before = self._worker.checksum()
        except NharnessError as error:
            self._problem = str(error)

    def greet(self) -> Iterator[dict[str, Any] | str]:
        """Yield who this worker is, or why there is none."""
        yield self._problem or introduction(self._worker)

    def do(self, name: str, work: Work[Any, Any], piece: Any) -> Iterator[Any]:
        """Yield the results of a piece, or the reason why there are none; equal names are equal work."""
        try:
            if name not in self._begun:
                self._begun = {name: work.begin(self._worker, unheard)}
            yield from self._begun[name](piece)
        except NharnessError as error:
            yield Refused(str(error))

    def altered(self) -> bool:
        """Tell whether the model's parameters are no longer what they were."""
        return self._worker.checksum() != self._before


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
    sys.path.extend([entry for entry in order.path if entry not in sys.path])
