"""A process that fills templates where they can do no harm, with a bound of memory and of time.

A template is a program: it may go round without end, or ask for more memory than there is. What is filled, and how, is
in `filling_process`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SECONDS, MEMORY = 10.0, 1 << 30
"""The most that one text may take."""
BEGINNING = 300.0
"""Seconds that the process may take to begin, on a machine however busy."""
PROGRAM = Path(__file__).with_name("filling_process.py")


class TookTooMuch(Exception):  # noqa: N818 - never leaves this package
    """A template took more time or memory than it may."""


class Filling:
    """The process, begun when first asked, and again after it was stopped.

    chat: the template and variables of a tokenizer; None for templates of tasks. seconds, memory: the most that a text
    may take, beside what filling any takes. The process ends with this object, at the latest with this program.
    """

    def __init__(
        self, chat: Mapping[str, Any] | None = None, *, seconds: float = SECONDS, memory: int = MEMORY
    ) -> None:
        self._begin = json.dumps({"chat": chat, "memory": memory})
        self._seconds = seconds
        self.most = f"{seconds:g} s or {memory >> 20:,} MiB"
        self.process: subprocess.Popen[str] | None = None

    def ask(self, asked: str) -> dict[str, Any]:
        """Return the answer to a line of JSON, with `error` where the template failed; raises `TookTooMuch`."""
        process = self.process = self.process or self._started()
        line = _answer(process, asked, self._seconds)
        if not line:
            _end(process)
            self.process = None
        answer: dict[str, Any] = json.loads(line or '{"error": "MemoryError"}')
        if answer.get("error", "").startswith("MemoryError"):
            raise TookTooMuch
        return answer

    def _started(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(  # noqa: S603 - this Python, a file of ours
            [sys.executable, "-P", str(PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )
        weakref.finalize(self, _end, process)
        _answer(process, self._begin, BEGINNING)
        return process


def _answer(process: subprocess.Popen[str], line: str, seconds: float) -> str:
    """Return the line that comes back for a line; "" from a process that ended, by itself or after so many seconds."""
    watch = threading.Timer(seconds, process.kill)
    watch.start()
    try:
        if process.stdin is None or process.stdout is None:
            return ""
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
        return process.stdout.readline()
    except OSError:
        return ""
    finally:
        watch.cancel()


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()
