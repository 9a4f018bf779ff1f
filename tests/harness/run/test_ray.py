"""Ray, for real: two workers on this machine do what one process does, and a killed one is replaced."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("ray")

SMALL = ["run", "--detector", "lape", "--languages", "en,de", "--detect-tokens", "500", "--eval-tokens", "300", "--control-tokens", "150",
         "--tasks", "ppl", "--controls", "2", "--bootstrap-draws", "200"]  # fmt: skip


def start(out, *more):
    command = [sys.executable, "-m", "nharness", *SMALL, "--out", str(out), *map(str, more)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def actors():
    """Return the processes of Ray's actors that were started under this test."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                title = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if title.startswith(b"ray::RayWorker"):
                found.append(int(entry.name))
    return found


def events(log):
    return [json.loads(line)["event"] for line in log.read_text().splitlines()] if log.exists() else []


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def cells(store):
    """Return the stored cells without the time they took."""
    found = {}
    for name, content in contents(store / "cells").items():
        document = json.loads(content.partition(b"\n")[2])
        del document["seconds"]
        found[name] = document
    return found


def record(out):
    document = json.loads((out / "records" / "lape-zero" / "record.json").read_text())
    for part in ("created", "command", "id"):
        del document["identity"][part]
    del document["cost"], document["detector"]["seconds"]
    return document


@pytest.mark.slow
def test_two_workers_one_killed_give_the_bytes_of_one_process(tmp_path):
    local, spread, log = tmp_path / "local", tmp_path / "ray", tmp_path / "log.jsonl"
    alone = start(local)
    printed, _ = alone.communicate(timeout=500)
    assert alone.returncode == 0, printed
    process = start(spread, "--executor", "ray", "--workers", 2, "--log-json", log)
    killed, deadline = [], time.monotonic() + 500
    while process.poll() is None and time.monotonic() < deadline and not killed:
        if "CellFinished" in events(log):
            killed = actors()[:1]
            os.kill(killed[0], signal.SIGKILL)
        time.sleep(0.02)
    printed, _ = process.communicate(timeout=500)
    assert process.returncode == 0, printed
    assert killed
    assert events(log).count("CellFinished") == len(cells(local / "store")) == 14
    assert contents(spread / "store" / "statistics") == contents(local / "store" / "statistics")
    assert contents(spread / "store" / "recorded") == contents(local / "store" / "recorded")
    assert cells(spread / "store") == cells(local / "store")
    assert record(spread) == record(local)
    deadline = time.monotonic() + 60
    while actors() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert actors() == []
