"""Work on Ray: actors that keep the model loaded, on one machine or many.

1. Every actor makes a worker of its own from the specification and the plug-ins of this process, in this process's
   folder where it exists there; one that has another model, other software or other plug-ins is refused.
2. A piece of work (a shard of text, a layer to ablate, a job's cells) goes to the next free actor. Its results come
   back one by one, so that a cell is in the store as soon as it is evaluated; `nharness.run.ray.pool` sees to actors
   that die.
3. Where their order counts, results are returned in the order of the pieces, whichever worker made them, so that the
   sum of shards is the same bytes as in one process.

Options: `address` of a running cluster ("auto" finds it; without, one is started on this machine for the run), `cpus`
and `gpus` of an actor (default 1 CPU, and 1 GPU where the cluster has any and the device asked for is not the CPU).
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from nharness.errors import NharnessError, OptionError, PluginError, UsageError
from nharness.run.ray.actor import Order, RayWorker, Refused, difference, introduction
from nharness.run.work.executor import Executor, P, R, Seen, Work, unheard
from nharness.run.work.worker import Worker

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

try:
    import ray

    from nharness.run.ray.pool import Assignment, Lost, Pool
except ImportError as error:  # pragma: no cover - the package is an extra
    raise PluginError("executor 'ray' needs the package ray: pip install 'nharness[ray]'") from error

OBJECT_STORE = 100 * 1024 * 1024
LOOPBACK = "127.0.0.1"
STARTS = 5
HANDED_ON = re.compile(r"(HF|TRANSFORMERS|TOKENIZERS|NHARNESS)_(?!.*TOKEN$)|CUBLAS_WORKSPACE_CONFIG$")
"""Environment variables that change what workers compute or reach; secrets are not among them."""


class RayExecutor(Executor):
    """Work on actors; raises `OptionError` for options out of range and `NharnessError` when Ray cannot be reached."""

    known_options = ("address", "cpus", "gpus")
    remote = True

    def __init__(self, worker: Worker, workers: int = 1, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(worker, workers, options)
        self._guest = ray.is_initialized()
        self._connect(self.options.get("address"))
        kind = ray.remote(max_restarts=0, **self._asked())(RayWorker)
        order, self._like = Order.of(worker), introduction(worker)
        self._like.pop("device")  # it may be another one in actors, but the same in all
        self._pool = Pool(lambda: kind.remote(order), workers, self._welcome)
        self._pool.ready()

    def map(self, work: Work[P, R], pieces: Iterable[P], seen: Seen) -> Iterator[R]:
        """Yield results as actors give them back; a piece under which actors keep dying is lost."""
        shared = ray.put(work)
        found = self._pool.run(
            Assignment(number, "do", (shared.hex(), shared, piece), work=work)
            for number, piece in enumerate(spread(work, pieces, self.workers))
        )
        yield from _ordered(self._results(found, seen)) if work.in_order else (r for _, r in self._results(found, seen))

    def finish(self) -> Iterator[Any]:
        """Yield the result that every actor is at, and those that lie ready."""
        return (result for _, result in self._results(self._pool.finish(), unheard))

    def _results(self, found: Iterator[tuple[Assignment, Any]], seen: Seen) -> Iterator[tuple[int, Any]]:
        for assignment, result in found:
            work, own = assignment.work, assignment.arguments[-1]
            if isinstance(result, Lost | Refused):
                yield from ((assignment.number, each) for each in work.lost(own, result.reason))
                continue
            if work.in_order:
                seen(work.tokens(own))
            yield assignment.number, result

    def altered(self) -> bool:
        """Tell whether a model in an actor is not what it was."""
        return any(self._pool.ask("altered"))

    def close(self) -> None:
        """Stop the actors, and leave the cluster; one that was started for them ends."""
        self._pool.close()
        if not self._guest:
            ray.shutdown()

    def _welcome(self, told: dict[str, Any] | str) -> None:
        """Refuse a worker that has a problem or is not like this process; numbers are of the first one's device."""
        if isinstance(told, str):
            raise UsageError(f"a worker cannot do this run: {told}")
        found = difference(self._like, told)
        if found:
            raise UsageError(found)
        self._like["device"] = told["device"]
        self.identity = {**self.identity, "device": told["device"]}

    def _asked(self) -> dict[str, Any]:
        """Return what Ray is to give an actor; raises `OptionError` when no machine could: Ray would wait for ever."""
        machines = [node["Resources"] for node in _nodes() if node["Alive"]]
        on_gpu = self.worker.resolved.spec.model.device != "cpu" and any(m.get("GPU", 0) >= 1 for m in machines)
        asked = {"CPU": self.options.get("cpus", 1), "GPU": self.options.get("gpus", int(on_gpu))}
        for name, number in asked.items():
            if isinstance(number, bool) or not isinstance(number, int | float) or number < 0:
                raise OptionError(f"executor ray: {name.lower()}s is {number!r}; expected a number, at least 0")
        if not any(all(machine.get(name, 0) >= number for name, number in asked.items()) for machine in machines):
            most = ", ".join(f"{m.get('CPU', 0):g} CPUs and {m.get('GPU', 0):g} GPUs" for m in machines)
            wanted = f"{asked['CPU']:g} CPUs and {asked['GPU']:g} GPUs"
            raise OptionError(f"a worker needs {wanted}; the cluster's machines have {most}")
        environment = {name: value for name, value in os.environ.items() if HANDED_ON.match(name)}
        joined = self.options.get("address") is not None
        settings = {"runtime_env": {"env_vars": environment}} if joined and environment else {}
        return {"num_cpus": asked["CPU"], "num_gpus": asked["GPU"], **settings}

    def _connect(self, address: str | None) -> None:
        """Join a cluster, or start one: a busy machine may need more than one try."""
        if self._guest:
            return
        logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)  # it warns of what is as it should be
        settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if address is not None:
            settings["address"] = address
            _refuse_silence(address)
            _show_token()
        else:
            settings |= {
                "include_dashboard": False,
                "object_store_memory": OBJECT_STORE,
                "_node_ip_address": LOOPBACK,
                "num_cpus": max(os.cpu_count() or 1, self.workers),
            }
        reason, before, children = "", signal.getsignal(signal.SIGTERM), _children()
        for _ in range(STARTS if address is None else 1):
            try:
                ray.init(**settings)
            except Exception as error:  # noqa: BLE001 - Ray raises bare Exception when its processes start too slowly
                ray.shutdown()
                for child in _children() - children:  # Ray leaves what it had started, which slows the next try
                    os.kill(child, signal.SIGKILL)
                reason = " ".join(str(error).split())
            else:
                if threading.current_thread() is threading.main_thread():
                    signal.signal(signal.SIGTERM, before)  # Ray puts a handler of its own there
                return
        raise NharnessError(f"Ray cannot be {f'reached at {address!r}' if address else 'started here'}: {reason}")


def _refuse_silence(address: str) -> None:
    """Raise `OptionError` when nothing listens at `host:port`: Ray would try for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit() or "/" in host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise OptionError(f"nothing answers at {address!r}: {error}; expected a cluster's address, or auto") from error


def _show_token() -> None:
    """Let Ray show the token that `ray start` leaves in the home folder, as Ray's own commands do."""
    with contextlib.suppress(ImportError):
        from ray._private.authentication import authentication_token_setup  # noqa: PLC0415 - old Ray has none

        authentication_token_setup.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)


def _children() -> set[int]:
    """Return the ids of this process's children, where the system tells."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.add(int(path.parent.name))
    return found


def _nodes() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray types but half of itself
    return found


def _ordered(results: Iterator[tuple[int, Any]]) -> Iterator[Any]:
    """Yield the one result of every piece in the order of the pieces."""
    waiting: dict[int, Any] = {}
    wanted = 0
    for number, result in results:
        waiting[number] = result
        while wanted in waiting:
            yield waiting.pop(wanted)
            wanted += 1


def spread(work: Work[P, Any], pieces: Iterable[P], workers: int) -> Iterator[P]:
    """Yield pieces, the last ones divided so that no worker stands idle while another has much left."""
    source = iter(pieces)
    while ahead := list(islice(source, workers)):
        parts = 1 if len(ahead) == workers else -(-workers // len(ahead))
        for piece in ahead:
            yield from work.divided(piece, parts) if parts > 1 else (piece,)
