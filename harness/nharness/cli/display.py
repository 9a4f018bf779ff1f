"""The display of a running run, line by line: plain lines when piped, JSON lines for machines."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import IO

from nharness.cells import Cell
from nharness.cli.output import plain
from nharness.cli.pace import Pace
from nharness.events import (
    CellFinished,
    Collected,
    Event,
    Listener,
    Noted,
    StageAdvanced,
    StageFinished,
    StageStarted,
)

LETTER = {"passed": ".", "failed": "F", "skipped": "s"}
BESIDE = 40
"""Columns kept free for the share, the rate and the time left."""


class PlainDisplay:
    """Lines for a pipe or a log: what is collected, stages and how far they are, and letters or lines for cells.

    verbosity: below 0 only warnings, 0 a letter a cell, above 0 a line a cell. columns: width of the lines of letters,
    that of the terminal (80 where there is none) when not given. clock: seconds, rising.
    """

    def __init__(
        self,
        *,
        verbosity: int = 0,
        stream: IO[str] | None = None,
        columns: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.verbosity, self.stream, self._clock = verbosity, stream or sys.stderr, clock
        self._letters = max(20, min(100, (columns or shutil.get_terminal_size().columns) - BESIDE))
        self._column = 0
        self._pace = Pace(0, "", clock)

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case Collected():
                self._lines(described(event), least=0)
            case StageStarted(_, total, unit):
                self._pace = Pace(total, unit, self._clock)
            case StageAdvanced(stage, amount, tokens):
                self._advance(stage, amount, tokens)
            case StageFinished():
                self._lines([finished(event)], least=0)
            case Noted(level, text):
                self._lines([f"{level}: {text}"], least=-1 if level == "warning" else 0)
            case CellFinished(cell, outcome, change):
                self._cell(cell, outcome.status, change, reused=outcome.reused)

    def close(self) -> None:
        """End a line of letters."""
        if self._column:
            self._end_letters()
        self.stream.flush()

    def _advance(self, stage: str, amount: int, tokens: int) -> None:
        self._pace.advance(amount, tokens)
        if not self._pace.unit.startswith("cells") and self._pace.due() and self._pace.share is not None:
            self._lines([f"{stage}:{self._so_far()}"], least=0)

    def _cell(self, cell: Cell, status: str, change: float | None, *, reused: bool) -> None:
        if self.verbosity > 0:
            shown = "" if change is None else f" {change:+.4f}"
            self._lines([f"{cell.id} {status.upper()}{shown}{' (reused)' if reused else ''}{self._so_far()}"], least=1)
        elif self.verbosity == 0:
            self.stream.write(LETTER[status])
            self._column += 1
            if self._column == self._letters or self._pace.due():
                self._end_letters()
            self.stream.flush()

    def _so_far(self) -> str:
        share, text = self._pace.share, self._pace.text
        return "" if share is None else f" [{share:4.0%}]{' ' + text if text else ''}"

    def _end_letters(self) -> None:
        self.stream.write(" " * (self._letters - self._column) + self._so_far() + "\n")
        self._column = 0

    def _lines(self, lines: list[str], *, least: int) -> None:
        if self.verbosity >= least:
            self.close()
            self.stream.write("".join(f"{plain(line)}\n" for line in lines))
            self.stream.flush()


class JsonDisplay:
    """One JSON object per line for every event, for machines."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        """Write one event."""
        if isinstance(event, CellFinished):
            body = {
                "cell": event.cell.id,
                "status": event.outcome.status,
                "reused": event.outcome.reused,
                "change": event.change,
                "reason": event.outcome.reason,
                "tokens": event.outcome.tokens,
                "seconds": event.outcome.seconds,
            }
        else:
            body = asdict(event)
        self._stream.write(json.dumps({"event": type(event).__name__, "time": time.time(), **body}) + "\n")
        self._stream.flush()


def described(found: Collected) -> list[str]:
    """Return what was collected as lines: how many cells of which sort, and what they are made of."""
    left = found.whole - found.cells
    chosen = f" / {left:,} deselected / {found.cells:,} selected" if left else ""
    sorts = {
        "baselines": found.baselines,
        "of targets": found.cells - found.baselines - found.controls,
        "of random controls": found.controls,
    }
    counts = ", ".join(f"{number:,} {sort}" for sort, number in sorts.items() if number)
    kinds = {
        "detectors": found.detectors,
        "interventions": found.interventions,
        "tasks": found.tasks,
        "languages": found.languages,
    }
    price = f"at most {found.forward_tokens:,} forward tokens{found.assumed}"
    return [
        f"collected {found.whole:,} cells{chosen}: {counts}; {price}",
        "; ".join(f"{kind}: {', '.join(names)}" for kind, names in kinds.items()),
    ]


def finished(event: StageFinished) -> str:
    """Return the line of a stage that is done."""
    return f"{event.stage}: {event.summary} ({'reused' if event.reused else f'{event.seconds:.1f} s'})"


def both(*listeners: Listener) -> Listener:
    """Return a listener that passes events to all of `listeners`."""

    def listen(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return listen
