"""A pytest plug-in: the fixture `sandbox`, a folder of one's own in which nharness runs, as `pytester` is for pytest.

pytest_plugins = ["nharness.testing.sandbox"]

def test_it_runs(sandbox):
    sandbox.plugin("mine", SOURCE)
    done = sandbox.run("detect", "mine:TopMean", "--statistics", "s.safetensors", "--out", "n.safetensors")
    assert done.code == 0
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Ended:
    """What a command left: its exit code, and what it printed."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Sandbox:
    """A working folder that is on the import path of what runs in it."""

    path: Path

    def plugin(self, name: str, source: str) -> Path:
        """Write a module that `-p NAME` and `NAME:attribute` find; return its file."""
        file = self.path / f"{name}.py"
        file.write_text(source, encoding="utf-8")
        return file

    def run(self, *argv: object, timeout: float = 300) -> Ended:
        """Run a command of nharness in a process of its own, in the folder."""
        path = os.pathsep.join(filter(None, [str(self.path), os.environ.get("PYTHONPATH", "")]))
        done = subprocess.run(  # noqa: S603 - this interpreter, and what a test wrote
            [sys.executable, "-m", "nharness", *map(str, argv)],
            cwd=self.path,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def records(self, run: str | Path) -> dict[str, Any]:
        """Return the records that a run left in its folder, by the name of each one's own."""
        found = sorted((self.path / run / "records").glob("*/record.json"))
        return {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in found}


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    """A `Sandbox` in an empty folder."""
    return Sandbox(tmp_path)
