"""Runs that are forked off one process which has imported everything, so that fifty of them take seconds, not minutes.

    python forked_runs.py FOLDER KILLS SEED [TMPFS]

Prints one JSON document: what an uninterrupted run left behind, and what killed, starved and sharing ones did.
"""

import contextlib
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from forking import fork

from nharness.cli.main import main
from nharness.run.store import Store

sys.path.append(str(Path(__file__).resolve().parents[2] / "sharing"))
from tiny_folder import make_model, run_arguments

SIZES = (8, 16, 24, 32, 40, 48, 56, 72, 88)  # KiB of a file system that is too small for a run


ENTRIES = (0, 5, 9)  # of the store, out of 18, when a run is asked to stop


class Runs:
    """Forks runs of one specification."""

    def __init__(self, folder):
        self.folder = folder
        make_model(folder / "model")
        self.arguments = run_arguments(folder / "model")

    def fork(self, out, *more):
        """Start a run, or go on with the one in `out`; return the process id."""
        begun = (out / "run.json").exists()
        argv = ["run", "--resume", "-q"] if begun else self.arguments
        argv = [*argv, "--out", str(out), "--log-json", str(self.folder / f"{out.name}.jsonl"), *map(str, more)]
        return fork(argv, self.folder / f"{out.name}.txt")

    def type(self, command):
        """Start what a user was told to type; return the process id."""
        program, *argv = shlex.split(command)
        assert program == "nharness"
        return fork(argv, self.folder / "typed.txt")

    def wait(self, pid):
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def events(self, out):
        return [json.loads(line) for line in (self.folder / f"{out.name}.jsonl").read_text().splitlines()]


def stored(out):
    """Return what is in a store and intact: by entry, the marks that change when it is written again.

    A statistics file counts once the entry that names it, written after it, is there too.
    """
    store = Store(out)
    found = {}
    for entry in store.entries():
        kind, key = ("recorded", entry.key.partition("-")[0]) if entry.kind == "statistics" else (entry.kind, entry.key)
        if store.get(kind, key, lambda found: found) is not None:
            status = entry.path.stat()
            found[f"{entry.kind}/{entry.path.name}"] = (status.st_ino, status.st_mtime_ns)
    return found


def left_behind(out, store=None):
    """Return what must be the same after every run: the record without times, items and neurons, the store's entries."""
    folder = out / "records" / "lape-zero"
    record = json.loads((folder / "record.json").read_text())
    for part in ("created", "command", "id"):
        del record["identity"][part]
    del record["cost"], record["detector"]["seconds"]
    statistics = {path.name: path.read_bytes().hex() for path in (store or out / "store").rglob("*.safetensors")}
    return {
        "record": record,
        "items": (folder / "items.jsonl").read_text(),
        "statistics": statistics,
        "entries": sorted(stored(store or out / "store")),
    }


def killed(runs, kills, seed, reference):
    """Kill runs at random moments and go on with each; return how each fared."""
    moments = random.Random(seed)
    started = time.monotonic()
    runs.wait(runs.fork(runs.folder / "timed"))
    longest = time.monotonic() - started
    trials = []
    while len(trials) < kills:
        out = runs.folder / f"killed{len(trials)}-{time.monotonic_ns()}"
        pid = runs.fork(out)
        time.sleep(moments.uniform(0, longest))
        os.kill(pid, signal.SIGKILL)
        if runs.wait(pid) != -signal.SIGKILL:
            longest *= 0.9  # it had ended before: the machine has become faster
            continue
        before = stored(out / "store")
        code = runs.wait(runs.fork(out))
        after = stored(out / "store")
        reused = sum(event["event"] == "CellFinished" and event["reused"] for event in runs.events(out))
        trials.append(
            {
                "code": code,
                "stored": sum(name.startswith("cells/") for name in before),
                "reused": reused,
                "rewritten": [name for name, mark in before.items() if after.get(name) != mark],
                "same": code == 0 and left_behind(out) == reference,
            }
        )
    return trials


def starved(runs, place, reference):
    """Run on file systems that are too small, then on the same ones grown; return how each fared."""
    trials = []
    for size in SIZES:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", place], check=True)
        try:
            out = place / f"starved{size}"
            first = runs.wait(runs.fork(out))
            said = (runs.folder / f"{out.name}.txt").read_text().strip().splitlines()[-1:]
            before = stored(out / "store")
            subprocess.run(["mount", "-o", "remount,size=16m", place], check=True)
            code = runs.wait(runs.fork(out))
            after = stored(out / "store")
            trials.append(
                {
                    "size": size,
                    "first": first,
                    "said": said,
                    "code": code,
                    "stored": len(before),
                    "rewritten": [name for name, mark in before.items() if after.get(name) != mark],
                    "same": code == 0 and left_behind(out) == reference,
                }
            )
        finally:
            subprocess.run(["umount", place], check=True)
    return trials


def stopped(runs, stops, seed, reference):
    """Send signals that ask for an end before, between and among the cells and type what is said then."""
    moments = random.Random(seed)
    trials = []
    while len(trials) < stops:
        out = runs.folder / f"stopped{len(trials)}-{time.monotonic_ns()}"
        pid = runs.fork(out)
        while not (out / "run.json").exists() or len(stored(out / "store")) < ENTRIES[len(trials) % len(ENTRIES)]:
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.005))
        os.kill(pid, (signal.SIGINT, signal.SIGTERM)[len(trials) % 2])
        code = runs.wait(pid)
        if code == 0:
            continue  # it had no more than records to write
        said = (runs.folder / f"{out.name}.txt").read_text().strip().splitlines()[-1]
        before, unfinished = stored(out / "store"), len(list(out.rglob("*.part")))
        again = runs.wait(runs.type(said.partition("continue with: ")[2])) if "continue with: " in said else said
        after = stored(out / "store")
        trials.append(
            {
                "codes": [code, again],
                "stored": len(before),
                "unfinished": unfinished,
                "same": again == 0 and left_behind(out) == reference,
                "rewritten": [name for name, mark in before.items() if after.get(name) != mark],
            }
        )
    return trials


def pruned(runs, reference):
    """Empty the store again and again while a run uses it; return how the run fared, and how much was taken away."""
    out = runs.folder / "pruned"
    pid, removed = runs.fork(out), 0
    while (done := os.waitpid(pid, os.WNOHANG))[0] == 0:
        removed += Store(out / "store").prune(older_than=time.time() + 1)[0]
        time.sleep(0.002)
    found = {"code": os.waitstatus_to_exitcode(done[1]), "removed": removed}
    return found | {
        "same": found["code"] == 0
        and {**left_behind(out), "entries": 0, "statistics": 0} == {**reference, "entries": 0, "statistics": 0}
    }


def sharing(runs, reference):
    """Start two runs at once on one store; return how both fared."""
    store = runs.folder / "shared"
    outs = [runs.folder / "first", runs.folder / "second"]
    codes = [runs.wait(pid) for pid in [runs.fork(out, "--store", store) for out in outs]]
    return [{"code": code, "same": left_behind(out, store) == reference} for code, out in zip(codes, outs, strict=True)]


if __name__ == "__main__":
    folder, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    runs = Runs(folder)
    with contextlib.redirect_stdout(sys.stderr):
        code = main(
            [*runs.arguments, "--out", str(folder / "whole")]
        )  # in this process: imports whatever a run imports
    reference = left_behind(folder / "whole")
    found = {"code": code, "entries": len(reference["entries"]), "killed": killed(runs, kills, seed, reference)}
    found["stopped"] = stopped(runs, 8, seed, reference)
    found["pruned"] = pruned(runs, reference)
    found["sharing"] = sharing(runs, reference)
    if len(sys.argv) > 4:
        found["starved"] = starved(runs, Path(sys.argv[4]), reference)
    print(json.dumps(found))
