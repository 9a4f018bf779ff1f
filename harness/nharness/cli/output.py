r"""The one way out: whatever is printed passes through here, and foreign text is only text.

Names, units and reasons come from records, plug-ins and foreign files. Control characters are shown as escapes
(`\x1b`), and no line begins with what a workflow would take for a command (`::error::`).
"""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from typing import IO, Any

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]|\r(?!\n)")
_COMMAND = re.compile(r"^(?=[ \t]*::)", re.MULTILINE)
_RESULT: ContextVar[IO[str] | None] = ContextVar("result", default=None)


def plain(text: str) -> str:
    """Return text that moves no cursor, turns no line around and gives no workflow a command; line ends stay."""
    return _COMMAND.sub(r"\\", _escaped(text)).replace("##[", r"#\#[")


def say(text: str = "", *, end: str = "\n") -> None:
    """Print the result of a command."""
    print(plain(text), end=end)


def tell(text: str, *, end: str = "\n", stream: IO[str] | None = None) -> None:
    """Print progress and problems on standard error (or `stream`)."""
    print(plain(text), end=end, file=stream or sys.stderr)


def warn(text: str) -> None:
    """Print a warning on standard error, in one line."""
    tell(f"warning: {' '.join(text.split())}")


def say_commands(text: str) -> None:
    """Print lines that a workflow is to obey; the caller has escaped all foreign text."""
    print(_escaped(text))


def say_json(document: Any, *, indent: int | None = 1) -> None:
    """Print a document as the result of a command that was asked for JSON, and for nothing beside it."""
    text = json.dumps(document, indent=indent, ensure_ascii=False, default=str)
    print(_CONTROL.sub(_json_escape, text), file=_RESULT.get() or sys.stdout)


@contextmanager
def only_the_result() -> Iterator[None]:
    """Let nothing but `say_json` reach standard output; what plug-ins print meanwhile goes to standard error."""
    token = _RESULT.set(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _RESULT.reset(token)


def print_table(rows: Sequence[Mapping[str, Any]], *, title: str = "") -> None:
    """Print rows of equal keys; lists are joined by commas, empty cells shown as `-`."""
    if not rows:
        say("nothing")
        return
    columns = list(rows[0])
    cells = [[_text(row[column]) for column in columns] for row in rows]
    if not sys.stdout.isatty():
        say("\n".join("\t".join(" ".join(cell.split()) for cell in row) for row in [columns, *cells]))
        return
    from rich.table import Table
    from rich.text import Text

    from nharness.cli.terminal import console

    table = Table(title=title or None, box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    console().print(table)


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value)) or "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value) if value not in (None, "") else "-"


def _escaped(text: str) -> str:
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def _json_escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


@contextmanager
def told_warnings() -> Iterator[None]:
    """Print every `UserWarning` raised meanwhile in one line on standard error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for each in caught:
        warn(str(each.message))
