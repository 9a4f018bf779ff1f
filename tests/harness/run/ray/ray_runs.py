"""Runs on Ray that are killed, preempted and interrupted at moments that are chosen, not waited for.

    python ray_runs.py FOLDER [orphaned]

A plug-in that lies in the working directory alone lets every actor's model make as many forward passes as a file says.
Drivers are forked off this process, which has imported everything. Prints one JSON document: how everything went.
"""

import contextlib
import hashlib
import ipaddress
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any

from nharness.cli.main import main

sys.path.extend(str(Path(__file__).resolve().parents[n] / name) for n, name in ((1, ""), (3, "sharing")))
from forked_runs import left_behind, stored
from forking import fork

from tiny_folder import make_model, run_arguments

PLUGIN = """
    import os
    import sys
    import time
    from pathlib import Path

    import ray

    from nharness import Entry, hookimpl

    HERE = Path.cwd()
    MEASURED = {"record_shard", "score"}
    forwards = 0

    def write(name, text):
        (HERE / f".{name}").write_text(text)
        (HERE / f".{name}").rename(HERE / name)

    def functions(frame):
        while frame is not None:
            yield frame.f_code.co_name
            frame = frame.f_back

    def wait(*_):
        global forwards
        if MEASURED.isdisjoint(functions(sys._getframe())):
            return
        forwards += 1
        write(f"at-{os.getpid()}", str(forwards))
        while forwards > int((HERE / "allowed").read_text()):
            time.sleep(0.01)

    def find(model):
        if ray.is_initialized() and ray.get_runtime_context().get_actor_id() is not None:
            found = [os.environ.get(name, "") for name in ("CUDA_VISIBLE_DEVICES", "HF_HUB_OFFLINE", "HF_TOKEN")]
            write(f"seen-{os.getpid()}", "/".join(found))
            model.base_model.register_forward_pre_hook(wait)

    @hookimpl
    def nharness_register_architectures():
        return [Entry("held", "waits before it runs", find)]
"""
MARK = "NHARNESS_RAY_TEST"
PATIENCE = 330
STARTS = 5
CONNECTED, CONNECTING = "01", "02"


def until(condition, what):
    """Return what `condition` returns once it is true; says what was waited for when it takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.02)
    return found


def processes():
    """Return the command lines of living processes that carry this test's mark, this one left out, by id."""
    found: dict[int, Any] = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if (
                entry.name.isdigit()
                and int(entry.name) != os.getpid()
                and f"{MARK}={os.environ[MARK]}".encode() in ((entry / "environ").read_bytes())
                and (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
            ):
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return found


def reached():
    """Return the addresses, other than this machine's own, that processes of this test talk to."""
    mine = set()
    for pid in processes():
        with contextlib.suppress(OSError):
            for handle in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    mine.add(str(handle.readlink()))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] in {CONNECTED, CONNECTING} and f"socket:[{fields[9]}]" in mine:
                words = bytes.fromhex(fields[2].partition(":")[0])  # of four bytes, each the wrong way round
                found.add(ipaddress.ip_address(b"".join(words[n : n + 4][::-1] for n in range(0, len(words), 4))))
    return sorted(str(address) for address in found if not is_own(address))


def is_own(address):
    """Tell whether an address is one of this machine: only such ones can be listened at."""
    address = getattr(address, "ipv4_mapped", None) or address
    with socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6) as trial:
        try:
            trial.bind((str(address), 0))
        except OSError:
            return False
    return True


def environment_of(pid):
    return dict(part.split("=", 1) for part in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in part)


class Runs:
    """Forks drivers; their working directory is `here`, the cluster's is another one."""

    def __init__(self, folder):
        self.folder, self.here, self.permits, self.drivers = folder, folder / "here", 0, []
        make_model(folder / "model")
        self.here.mkdir()
        (self.here / "held_plugin.py").write_text(textwrap.dedent(PLUGIN))
        os.chdir(self.here)
        self.arguments = run_arguments("../model")

    def allow(self, forwards):
        (self.here / ".allowed").write_text(str(forwards))
        (self.here / ".allowed").rename(self.here / "allowed")
        self.permits = forwards

    def fork(self, out, *more):
        """Start a driver, a leader of a process group of its own; go on if there is something to go on with."""
        begun = (out / "run.json").exists()
        argv = ["run", "--resume", "-q"] if begun else self.arguments
        argv = [*argv, "--out", str(out), "--log-json", str(self.folder / f"{out.name}.jsonl"), *map(str, more)]
        for mark in (*self.here.glob("at-*"), *self.here.glob("seen-*")):
            mark.unlink()
        self.drivers.append(fork(argv, self.folder / f"{out.name}.txt", leader=True))
        return self.drivers[-1]

    def end(self):
        """Kill whatever still lives: nothing, unless something went wrong."""
        for pid in self.drivers:
            with contextlib.suppress(ChildProcessError):  # its end was waited for
                if os.waitpid(pid, os.WNOHANG)[0] == 0:
                    os.kill(pid, signal.SIGKILL)
        for pid in processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def wait(self, pid):
        _, status = until(
            lambda: next((done for done in [os.waitpid(pid, os.WNOHANG)] if done[0]), None), "the driver's end"
        )
        return os.waitstatus_to_exitcode(status)

    def blocked(self):
        """Return the actors that wait for a permit."""
        found = {}
        for mark in self.here.glob("at-*"):
            with contextlib.suppress(OSError, ValueError):
                pid, forwards = int(mark.name.partition("-")[2]), int(mark.read_text())
                if forwards > self.permits and Path(f"/proc/{pid}").exists():
                    found[pid] = forwards
        return found

    def proceed(self, out, cells):
        """Allow forward passes one by one until so many cells are stored and a worker waits again."""

        def there():
            return len(list((out / "store" / "cells").glob("*/*.json"))) >= cells

        while not there():
            until(lambda: self.blocked() or there(), "a worker at work")
            self.allow(self.permits + 1)
        until(self.blocked, "a worker at work")

    def said(self, out):
        return (self.folder / f"{out.name}.txt").read_text().strip().splitlines()[-1]


def own_cluster(runs):
    """Start a cluster for a run, look at it, and press Ctrl-C twice while a worker is at its first forward pass."""
    out = runs.folder / "own"
    runs.allow(0)
    pid = runs.fork(out, "--executor", "ray", "-p", "held_plugin")
    until(runs.blocked, "a worker at work")
    reports = [pid for pid, line in processes().items() if "dashboard.py" in line]  # what would report usage
    found = {
        "reached": reached(),
        "reporting": [pid for pid in reports if environment_of(pid).get("RAY_USAGE_STATS_ENABLED") != "0"],
        "pages": [pid for pid in reports if "--modules-to-load" not in processes()[pid]],
    }
    os.killpg(pid, signal.SIGINT)
    time.sleep(1)
    found["waited"] = os.waitpid(pid, os.WNOHANG)[0] == 0 and len(runs.blocked()) == 1
    os.killpg(pid, signal.SIGINT)
    started = time.monotonic()
    found["code"], found["said"], found["seconds"] = runs.wait(pid), runs.said(out), time.monotonic() - started
    until(lambda: not processes(), "the end of the cluster")
    return found


STARTED = ("RayWorker", "raylet/raylet", "gcs_server")


def orphaned(runs):
    """Kill a run, not its cluster, while a worker is at work; return how it went once all of it has ended by itself."""
    out = runs.folder / "orphaned"
    runs.allow(0)
    pid = runs.fork(out, "--executor", "ray", "-p", "held_plugin")
    until(runs.blocked, "a worker at work")
    held = [line for line in processes().values() if any(name in line for name in STARTED)]
    os.kill(pid, signal.SIGKILL)
    code = runs.wait(pid)
    until(lambda: not processes(), "the end of what a killed driver had started")
    return {"code": code, "held": len(held)}


@contextlib.contextmanager
def cluster(folder):
    """Start a cluster with two GPUs that are not there, in a folder of its own; yield its address."""
    (folder / "elsewhere").mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as place:
        try:
            for _ in range(STARTS):
                with socket.socket() as free:
                    free.bind(("127.0.0.1", 0))
                    port = free.getsockname()[1]
                if head(folder, place, port, environment):
                    yield f"127.0.0.1:{port}"
                    return
            raise TimeoutError((folder / "cluster.txt").read_text()[-2000:])
        finally:
            sweep()


def head(folder, place, port, environment):
    """Start a cluster's head, and tell whether it came up: Ray gives up on machines that are too busy."""
    command = [
        Path(sys.executable).with_name("ray"),
        "start",
        "--head",
        "--block",
        "--port",
        str(port),
        "--temp-dir",
        place,
        "--node-ip-address",
        "127.0.0.1",
        "--num-cpus",
        "4",
        "--num-gpus",
        "2",
        "--include-dashboard",
        "false",
        "--disable-usage-stats",
        "--object-store-memory",
        "100000000",
    ]
    with (folder / "cluster.txt").open("w") as log:
        process = subprocess.Popen(command, cwd=folder / "elsewhere", env=environment, stdout=log, stderr=log)
    until(
        lambda: process.poll() is not None or "Ray runtime started" in (folder / "cluster.txt").read_text(),
        "the cluster",
    )
    if process.poll() is None:
        return True
    sweep()
    return False


def sweep():
    """Kill every process that this test started."""
    while found := processes():
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def disturbed(runs, address, reference):
    """Kill a worker while it records, the driver while cells are evaluated; preempt the next driver; end with a third."""
    out = runs.folder / "disturbed"
    found: dict[str, Any] = {}
    more = ["--executor", "ray", "--workers", "2", "--ray-address", address, "-p", "held_plugin"]
    runs.allow(0)
    pid = runs.fork(out, *more)
    recording = until(lambda: runs.blocked() if len(runs.blocked()) == 2 else None, "two workers at work")
    found["seen"] = sorted(path.read_text() for path in runs.here.glob("seen-*"))
    os.kill(min(recording), signal.SIGKILL)
    runs.proceed(out, 3)
    os.kill(pid, signal.SIGKILL)
    found["killed"] = runs.wait(pid)
    until(lambda: not any(line.startswith("ray::RayWorker") for line in processes().values()), "the end of the actors")
    marks = [stored(out / "store")]

    runs.allow(0)
    pid = runs.fork(out, *more)
    runs.proceed(out, 6)
    cells = len(list((out / "store" / "cells").glob("*/*.json")))
    os.kill(pid, signal.SIGTERM)
    time.sleep(1)
    found["waited"] = os.waitpid(pid, os.WNOHANG)[0] == 0
    runs.allow(10**9)
    found["preempted"], found["said"] = runs.wait(pid), runs.said(out)
    marks.append(stored(out / "store"))
    found["finished"] = len(list((out / "store" / "cells").glob("*/*.json"))) - cells

    runs.allow(10**9)
    found["code"] = runs.wait(runs.fork(out, *more))
    after = stored(out / "store")
    found["rewritten"] = sorted({name for each in marks for name, mark in each.items() if after.get(name) != mark})
    events = [json.loads(line) for line in (runs.folder / "disturbed.jsonl").read_text().splitlines()]
    found["reused"] = sum(event["event"] == "CellFinished" and event["reused"] for event in events)
    found["stored"] = [sum(name.startswith("cells/") for name in each) for each in marks]
    found["same"] = left_behind(out) == reference
    return found


class Frail:
    """An actor that does what it is told, dying included."""

    def __init__(self, dies):
        if dies:
            os._exit(1)

    def greet(self):
        yield "here"

    def work(self, what):
        if what == "die":
            os._exit(1)
        if what == "fail":
            raise ValueError("not today")
        yield what


def pools(address):
    """Hand pieces to actors that die or fail; return what came of each, or what was said."""
    import ray

    from nharness.errors import NharnessError
    from nharness.run.ray.executor import _show_token
    from nharness.run.ray.pool import Assignment, Lost, Pool

    _show_token()
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    kind, greetings = ray.remote(num_cpus=1, max_restarts=0)(Frail), []
    pool = Pool(lambda: kind.remote(False), 1, greetings.append)
    assignments = [Assignment(number, "work", (what,)) for number, what in enumerate(["a", "die", "b", "fail", "c"])]
    results = [(assignment.number, result) for assignment, result in pool.run(assignments)]
    found = {
        "results": [
            (number, f"{result.assignment.tries}: {result.reason}" if isinstance(result, Lost) else result)
            for number, result in results
        ],
        "greetings": len(greetings),
    }
    pool.close()
    try:
        Pool(lambda: kind.remote(True), 1, greetings.append).ready()
    except NharnessError as error:
        found["stillborn"] = str(error)
    ray.shutdown()
    return found


def every_stage(runs, address):
    """Ablate every neuron, repeat detection and read layers here and on two workers; return what each left in its store."""
    more = ["--folds", "2", "--controls", "0", "--lens", "20"]
    arguments = [*runs.arguments, *more]
    arguments[arguments.index("lape")] = "lape,exhaustive"
    arguments[arguments.index("--detect-tokens") + 1] = "3000"  # two parts need two documents
    options = arguments.index("--option")
    del arguments[options : options + 2]
    found: dict[str, Any] = {}
    for name, how in {"here": [], "there": ["--executor", "ray", "--workers", "2", "--ray-address", address]}.items():
        out = runs.folder / f"stages-{name}"
        pid = fork([*arguments, "--out", str(out), *how], runs.folder / f"stages-{name}.txt", leader=True)
        runs.drivers.append(pid)
        code, store = runs.wait(pid), out / "store"
        kinds = ("ablated", "blocks", "lens", "statistics")
        files = {path for kind in kinds for path in (store / kind).rglob("*") if path.is_file()}
        digests = {str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
        record = json.loads((out / "records" / "lape-zero" / "record.json").read_text())
        found[name] = {"code": code, "digests": digests, "stability": record["stability"]}
    return found


def refused(runs, address):
    """Ask for what cannot be; return what is said."""
    found: dict[str, Any] = {}
    wishes = {
        "gpus": ["--executor-args", "gpus=3", "--ray-address", address, "-p", "held_plugin"],
        "address": ["--ray-address", "127.0.0.1:1"],
    }
    for name, wish in wishes.items():
        out = runs.folder / name
        found[name] = [runs.wait(runs.fork(out, "--executor", "ray", *wish)), runs.said(out)]
    return found


def everything(runs):
    """Return how all of it went, and the seconds of its parts."""
    with contextlib.redirect_stdout(sys.stderr):
        code = main(
            [*runs.arguments, "--out", str(runs.folder / "whole")]
        )  # in this process: imports whatever a run imports
    reference, marks = left_behind(runs.folder / "whole"), [time.monotonic()]
    found: dict[str, Any] = {"code": code}
    found["own"] = own_cluster(runs)
    marks.append(time.monotonic())
    with cluster(runs.folder) as address:
        found["disturbed"] = disturbed(runs, address, reference)
        marks.append(time.monotonic())
        found["stages"] = every_stage(runs, address)
        found["refused"] = refused(runs, address)
        found["pools"] = pools(address)
        marks.append(time.monotonic())
    found["left"] = list(processes().values())
    steps = zip(("own", "disturbed", "stages, refused and pools"), marks, marks[1:], strict=False)
    return found | {"seconds": {name: end - start for name, start, end in steps}}


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"  # a forked process has none of the threads that OpenMP believes to have
    os.environ[MARK] = f"{os.getpid()}-{time.monotonic_ns()}"
    os.environ["HF_TOKEN"] = "not to be handed on"
    os.environ["RAY_DEDUP_LOGS"] = "0"
    runs = Runs(Path(sys.argv[1]))
    try:
        print(json.dumps(orphaned(runs) if sys.argv[2:] == ["orphaned"] else everything(runs)))
    finally:
        runs.end()
