"""A record on the terminal: its matrices, coloured, and its summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.text import Text

from nharness.cli.output import print_table, say
from nharness.cli.terminal import console
from nharness.record.items import read_items
from nharness.record.model import Record
from nharness.record.store import find, inside
from nharness.report.ground_truth import LEGEND as TRUTH_LEGEND
from nharness.report.ground_truth import stability_rows, truth_table
from nharness.report.matrix import caution_lines, legend, matrix_table, matrix_title, summary_rows, summary_units
from nharness.report.outputs import METRIC, output_rows
from nharness.report.ranking import LEGEND as RANKING_LEGEND
from nharness.report.ranking import rank_records
from nharness.report.structure import structure_lines

COLOURS = "; orange is harm, blue is benefit"


def show_judged(records: Sequence[Record]) -> None:
    """Print detectors against known neurons, and how well they repeat, where that was asked for."""
    on = console()
    table = truth_table(records)
    if table is not None:
        on.print()
        on.print(table)
        on.print(Text(TRUTH_LEGEND, style="dim"))
    rows = stability_rows(records)
    if rows:
        on.print()
        print_table(rows)


def show_ranking(records: Mapping[Path, Record]) -> None:
    """Print detectors by the share of harm that stays in the language, where several of the records have a headline."""
    on = console()
    for found in rank_records(records):
        first = next(iter(found.records.values()))
        on.print()
        on.print(Text(f"Kept share, {first.intervention.name} on {first.model.name}", style="bold"))
        print_table(found.rows())
        on.print(Text(RANKING_LEGEND, style="dim"))
        for reason in found.reasons():
            on.print(Text(f"! {reason}", style="yellow"))


def show_record(record: Record, path: Path) -> None:
    """Print every task's matrix and the summary; piped, the numbers stand alone.

    path: of the record's file; where outputs were judged, the items beside it tell the languages they were in.
    """
    on = console()
    for task in record.tasks:
        on.print()
        on.print(Text(matrix_title(record, task.name), style="bold"))
        on.print(matrix_table(record, task.name))
    coloured = on.color_system is not None and not on.no_color
    on.print(Text(legend(record) + COLOURS * coloured, style="dim"))
    for line in caution_lines(record):
        on.print(Text(f"! {line}", style="yellow"))
    on.print()
    print_table(summary_rows(record))
    on.print(Text(summary_units(record), style="dim"))
    for line in structure_lines(record):
        on.print(Text(line, style="dim"))
    items = find(record.files, "items")
    if items is not None and any(task.metric == METRIC for task in record.tasks):
        say()
        print_table(output_rows(record, read_items(inside(path.parent, items.name))))
