"""A record on the terminal: its matrices, coloured, and its summary."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.text import Text

from nharness.cli.output import print_table
from nharness.record.model import Record
from nharness.report.matrix import matrix_table, matrix_title, summary_rows

LEGEND = "* q < 0.05 against no change and against random neurons; orange is harm, blue is benefit"


def show_record(record: Record) -> None:
    """Print every task's matrix and the summary; piped, the numbers stand alone."""
    console = Console(width=None if sys.stdout.isatty() else 200)
    for task in record.tasks:
        console.print()
        console.print(Text(matrix_title(record, task.name), style="bold"))
        console.print(matrix_table(record, task.name))
    console.print(Text(LEGEND, style="dim"))
    console.print()
    print_table(summary_rows(record))
