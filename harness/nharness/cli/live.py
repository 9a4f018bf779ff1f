"""The display of a run on a terminal: a bar per stage with rate and time left, and the matrix filling in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from nharness.cells import Cell
from nharness.cli.display import described, finished
from nharness.cli.output import plain
from nharness.cli.pace import Pace
from nharness.events import CellFinished, Collected, Event, Noted, StageAdvanced, StageFinished, StageStarted

CELL_WIDTHS = {3: 7, 2: 6, 1: 5}
"""Columns of a signed change with that many decimals, and one between it and the next."""


class LiveDisplay:
    """Bars and the matrix, kept at the foot of the terminal; what is done stands above as lines."""

    def __init__(self, console: Console, languages: Sequence[str] = ()) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=min(28, max(4, console.width // 4))),
            TextColumn("{task.fields[amount]}"),
            TextColumn("{task.fields[pace]}"),
            console=console,
        )
        self._languages = tuple(languages)
        self._changes: dict[tuple[str, str], float | None] = {}
        self._title = ""
        self._bars: dict[str, tuple[TaskID, Pace]] = {}
        self._live = Live(console=console, refresh_per_second=8, transient=True, get_renderable=self._view)
        self._live.start()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case Collected():
                self._languages = event.languages
                self._print("\n".join(described(event)))
            case StageStarted(stage, total, unit):
                bar = self._progress.add_task(stage, total=total or None, amount="", pace="")
                self._bars[stage] = (bar, Pace(total, unit))
            case StageAdvanced(stage, amount, tokens):
                self._advance(stage, amount, tokens)
            case StageFinished():
                if event.stage in self._bars:
                    self._progress.remove_task(self._bars.pop(event.stage)[0])
                self._print(finished(event))
            case CellFinished(cell, outcome, change):
                self._cell(cell, outcome.status, change)
            case Noted(level, text):
                self._print(f"{level}: {text}", style="yellow" if level == "warning" else "")

    def close(self) -> None:
        """Take the live part off the screen."""
        self._live.stop()

    def _print(self, text: str, style: str = "") -> None:
        self._live.console.print(Text(plain(text), style=style))

    def _advance(self, stage: str, amount: int, tokens: int) -> None:
        if stage not in self._bars:
            return
        bar, pace = self._bars[stage]
        pace.advance(amount, tokens)
        done = f"{min(pace.done, pace.total):,}/{pace.total:,} {pace.unit}" if pace.total else ""
        self._progress.update(bar, advance=amount, amount=done, pace=pace.text)

    def _cell(self, cell: Cell, status: str, change: float | None) -> None:
        if status == "failed":
            self._print(f"FAILED {cell.id}", style="red")
        edition = cell.edition
        if edition is None or edition.control is not None:
            return
        title = f"{edition.detector}/{edition.intervention}::{cell.task}"
        if title != self._title:
            self._title, self._changes = title, {}
        self._changes[edition.target, cell.language] = None if status == "failed" else change

    def _view(self) -> RenderableType:
        """Return the bars under the matrix, as much of it as the terminal is wide and high; for the drawing thread."""
        changes = dict(self._changes)
        if not changes:
            return self._progress
        targets = list(dict.fromkeys(target for target, _ in changes))
        first = max(9, *map(len, targets)) + 1
        room = self._progress.console.width - first
        digits = next((d for d, width in CELL_WIDTHS.items() if width * len(self._languages) <= room), 1)
        shown = self._languages[: max(1, room // CELL_WIDTHS[digits])]
        table = Table(box=None, padding=(0, 1, 0, 0))
        for heading in ("off \\ on", *shown):
            table.add_column(heading, justify="right", no_wrap=True)
        for target in targets[-max(3, self._progress.console.height - 8) :]:
            table.add_row(target, *(_text(changes, (target, language), digits) for language in shown))
        title = Text(f"{self._title} (change so far)", no_wrap=True, overflow="ellipsis")
        return Group(title, table, self._progress)


def _text(changes: Mapping[tuple[str, str], float | None], place: tuple[str, str], digits: int) -> str:
    if place not in changes:
        return ""
    value = changes[place]
    return "F" if value is None else f"{value:+.{digits}f}"
