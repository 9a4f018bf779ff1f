"""Printing: tables with rich on a terminal, tab-separated lines when piped."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any


def print_table(rows: Sequence[Mapping[str, Any]], *, title: str = "") -> None:
    """Print rows of equal keys; lists are joined by commas, empty cells shown as `-`."""
    if not rows:
        print("nothing")
        return
    columns = list(rows[0])
    cells = [[_text(row[column]) for column in columns] for row in rows]
    if not sys.stdout.isatty():
        print("\n".join("\t".join(row) for row in [columns, *cells]))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value)) or "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value) if value not in (None, "") else "-"


@contextmanager
def told_warnings() -> Iterator[None]:
    """Tell every `UserWarning` of what is done meanwhile in one line on standard error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for each in caught:
        print(f"warning: {each.message}", file=sys.stderr)
