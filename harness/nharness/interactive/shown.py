"""What a run looks like in a notebook: one output that is drawn anew as the run goes on, with nothing but IPython."""

from __future__ import annotations

import time
from collections.abc import Callable
from html import escape
from importlib import import_module
from typing import Any

from nharness.cli.display import described, finished
from nharness.cli.pace import Pace
from nharness.events import CellFinished, Collected, Event, Noted, StageAdvanced, StageFinished, StageStarted

EVERY = 0.25
"""Seconds between two drawings."""
LINES = 12
"""Lines of what has been that stay in sight."""


class NotebookDisplay:
    """A listener that shows stages as bars, the matrix as it fills, and what was noted.

    show: puts HTML into the notebook and returns what `update(HTML)` draws it anew with. clock: seconds, rising.
    """

    def __init__(self, show: Callable[[str], Any] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._drawn = clock, clock()
        self._lines: list[str] = []
        self._bars: dict[str, Pace] = {}
        self._title = ""
        self._languages: tuple[str, ...] = ()
        self._changes: dict[str, dict[str, float | None]] = {}
        self._handle = (show or _show)(self._html())

    def __call__(self, event: Event) -> None:
        """Take one event in, and draw where the last drawing is old enough."""
        match event:
            case Collected():
                self._languages = event.languages
                self._lines += described(event)
            case StageStarted(stage, total, unit):
                self._bars[stage] = Pace(total, unit, self._clock)
            case StageAdvanced(stage, amount, tokens):
                if stage in self._bars:
                    self._bars[stage].advance(amount, tokens)
            case StageFinished(stage):
                self._bars.pop(stage, None)
                self._lines.append(finished(event))
            case CellFinished():
                self._cell(event)
            case Noted(level, text):
                self._lines.append(f"{level}: {text}")
        if self._clock() - self._drawn >= EVERY:
            self._draw()

    def close(self) -> None:
        """Draw what is there at the end; what has been stays in the notebook."""
        self._bars.clear()
        self._draw()

    def _draw(self) -> None:
        self._drawn = self._clock()
        self._handle.update(_html(self._html()))

    def _cell(self, event: CellFinished) -> None:
        edition = event.cell.edition
        if event.outcome.status == "failed":
            self._lines.append(f"FAILED {event.cell.id}")
        if edition is None or edition.control is not None:
            return
        title = f"{edition.detector}/{edition.intervention}::{event.cell.task}"
        if title != self._title:
            self._title, self._changes = title, {}
        self._changes.setdefault(edition.target, {})[event.cell.language] = event.change

    def _html(self) -> str:
        lines = "<br>".join(map(escape, self._lines[-LINES:]))
        bars = "".join(
            f'<div>{escape(stage)} <progress value="{pace.share or 0:.3f}"></progress> {_amount(pace)}</div>'
            for stage, pace in self._bars.items()
        )
        return f'<div style="font-family: monospace">{lines}{self._matrix()}{bars}</div>'

    def _matrix(self) -> str:
        if not self._changes:
            return ""
        head = "".join(f"<th>{escape(tag)}</th>" for tag in self._languages)
        rows = "".join(
            f"<tr><th>{escape(target)}</th>{''.join(_change(row, tag) for tag in self._languages)}</tr>"
            for target, row in self._changes.items()
        )
        title = f"<caption>{escape(self._title)} (change so far)</caption>"
        return f"<table>{title}<thead><tr><th>off \\ on</th>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _amount(pace: Pace) -> str:
    done = f"{min(pace.done, pace.total):,}/{pace.total:,} {pace.unit}" if pace.total else ""
    return escape(f"{done} {pace.text}".strip())


def _change(row: dict[str, float | None], tag: str) -> str:
    if tag not in row:
        return "<td></td>"
    value = row[tag]
    return f"<td>{'failed' if value is None else f'{value:+.4f}'}</td>"


def _html(text: str) -> Any:
    return import_module("IPython.display").HTML(text)


def _show(text: str) -> Any:
    return import_module("IPython.display").display(_html(text), display_id=True)
