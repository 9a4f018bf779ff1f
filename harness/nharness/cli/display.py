"""What a run looks like while it runs: rich progress on a terminal, plain lines when piped, JSON lines for machines."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict
from typing import IO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from nharness.run.cells import Cell
from nharness.run.events import CellFinished, Event, Listener, Noted, StageAdvanced, StageFinished, StageStarted

LETTER = {"passed": ".", "failed": "F", "skipped": "s"}


class PlainDisplay:
    """Lines for a pipe or a log: one per stage, and per cell either a letter or (verbose) a line."""

    def __init__(self, *, verbosity: int = 0, stream: IO[str] | None = None) -> None:
        self.verbosity, self.stream = verbosity, stream or sys.stderr
        self._column = 0

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case StageFinished(stage, seconds, reused, summary):
                self._line(f"{stage}: {summary} ({'reused' if reused else f'{seconds:.1f} s'})", least=0)
            case Noted(level, text):
                self._line(f"{level}: {text}", least=-1 if level == "warning" else 0)
            case CellFinished(cell, outcome, change):
                self._cell(cell, outcome.status, change, reused=outcome.reused)
            case _:
                pass

    def close(self) -> None:
        """End a line of letters."""
        if self._column:
            self.stream.write("\n")
            self._column = 0
        self.stream.flush()

    def _cell(self, cell: Cell, status: str, change: float | None, *, reused: bool) -> None:
        if self.verbosity > 0:
            shown = "" if change is None else f" {change:+.4f}"
            self._line(f"{cell.id} {status.upper()}{shown}{' (reused)' if reused else ''}", least=1)
        elif self.verbosity == 0:
            self.stream.write(LETTER[status])
            self._column = (self._column + 1) % 100
            if not self._column:
                self.stream.write("\n")
            self.stream.flush()

    def _line(self, text: str, *, least: int) -> None:
        if self.verbosity >= least:
            self.close()
            self.stream.write(text + "\n")
            self.stream.flush()


class LiveDisplay:
    """A terminal: a bar per stage with rate and time left, and the matrix filling in as cells arrive."""

    def __init__(self, console: Console, languages: Sequence[str]) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<22}"), BarColumn(bar_width=28), MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"), TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(compact=True), console=console,
        )  # fmt: skip
        self._languages = tuple(languages)
        self._changes: dict[tuple[str, str], float | None] = {}
        self._title = ""
        self._bars: dict[str, TaskID] = {}
        self._tokens: deque[tuple[float, int]] = deque(maxlen=50)
        self._live = Live(self._view(), console=console, refresh_per_second=8, transient=True)
        self._live.start()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case StageStarted(stage, total, unit):
                self._bars[stage] = self._progress.add_task(stage, total=total or None, unit=unit, rate="")
            case StageAdvanced(stage, amount, tokens):
                self._advance(stage, amount, tokens)
            case StageFinished(stage, seconds, reused, summary):
                self._finish(stage, f"{summary} ({'reused' if reused else f'{seconds:.1f} s'})")
            case CellFinished(cell, outcome, change):
                self._cell(cell, outcome.status, change)
            case Noted(level, text):
                self._live.console.print(Text(f"{level}: {text}", style="yellow" if level == "warning" else ""))
        self._live.update(self._view())

    def close(self) -> None:
        """Take the live part off the screen."""
        self._live.stop()

    def _advance(self, stage: str, amount: int, tokens: int) -> None:
        if stage not in self._bars:
            return
        self._tokens.append((time.monotonic(), tokens))
        elapsed = self._tokens[-1][0] - self._tokens[0][0]
        rate = sum(count for _, count in list(self._tokens)[1:]) / elapsed if elapsed > 0 else 0
        self._progress.update(self._bars[stage], advance=amount, rate=f"{rate:,.0f} tokens/s" if rate else "")

    def _finish(self, stage: str, summary: str) -> None:
        if stage in self._bars:
            self._progress.remove_task(self._bars.pop(stage))
        self._live.console.print(Text(f"{stage}: {summary}"))

    def _cell(self, cell: Cell, status: str, change: float | None) -> None:
        edition = cell.edition
        if edition is None or edition.control is not None:
            return
        title = f"{edition.detector}/{edition.intervention}::{cell.task}"
        if title != self._title:
            self._title, self._changes = title, {}
        self._changes[edition.target, cell.language] = None if status == "failed" else change

    def _view(self) -> RenderableType:
        if not self._changes:
            return self._progress
        table = Table(title=f"{self._title} (change so far)", box=None, title_justify="left", padding=(0, 1))
        for heading in ("off \\ on", *self._languages):
            table.add_column(heading, justify="right")
        for target in dict.fromkeys(target for target, _ in self._changes):
            row = [self._changes.get((target, language), 0.0) for language in self._languages]
            seen = [(target, language) in self._changes for language in self._languages]
            table.add_row(target, *(_short(v) if s else "" for v, s in zip(row, seen, strict=True)))
        return Group(table, self._progress)


class JsonDisplay:
    """One JSON object a line for every event, for machines."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        """Write one event."""
        if isinstance(event, CellFinished):
            body = {
                "cell": event.cell.id, "status": event.outcome.status, "reused": event.outcome.reused,
                "change": event.change, "reason": event.outcome.reason, "tokens": event.outcome.tokens,
            }  # fmt: skip
        else:
            body = asdict(event)
        self._stream.write(json.dumps({"event": type(event).__name__, "time": time.time(), **body}) + "\n")
        self._stream.flush()


def both(*listeners: Listener) -> Listener:
    """Return a listener that passes events to all of `listeners`."""

    def listen(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return listen


def _short(value: float | None) -> str:
    return "F" if value is None else f"{value:+.3f}"
