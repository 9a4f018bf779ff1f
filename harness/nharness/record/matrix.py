"""The matrix of a record's task as arrays, and as HTML for a notebook.

Legend: `R` targets (rows: whose neurons were edited), `K` languages (columns: what was measured).
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nharness.errors import UnknownNameError
from nharness.record.cells import CellResult

if TYPE_CHECKING:
    from nharness.record.model import Record

LEVEL = 0.05
HARM, BENEFIT = (217, 95, 2), (33, 102, 172)


@dataclass(frozen=True, eq=False)
class Matrix:
    """A task's changes, edited minus intact, in the task's unit: `values` [R, K] with the ends `low` and `high` [R, K].

    NaN where a cell failed or has no interval. `marked` [R, K] is true where a change is significant
    against none and against random neurons (both q below 0.05). `harm` is 1 where more is worse, -1 where less is.
    `title` says what was measured.
    """

    title: str
    task: str
    unit: str
    targets: tuple[str, ...]
    languages: tuple[str, ...]
    values: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    marked: NDArray[np.bool_]
    harm: int

    def rows(self) -> list[dict[str, str | float | None]]:
        """Return one row per target: its name, and the change of every language; None where there is none."""
        return [
            {"target": target, **dict(zip(self.languages, _numbers(row), strict=True))}
            for target, row in zip(self.targets, self.values, strict=True)
        ]

    def _repr_html_(self) -> str:
        """Return the matrix as a table: orange is harm, blue is benefit, darker is larger."""
        head = "".join(f"<th>{escape(tag)}</th>" for tag in self.languages)
        body = "".join(f"<tr><th>{escape(name)}</th>{self._row(row)}</tr>" for row, name in enumerate(self.targets))
        mark = "* significant against no change and against random neurons"
        caption = f"{escape(self.title)}, in {escape(self.unit)}; {mark}"
        return (
            f"<table><caption>{caption}</caption><thead><tr><th>off \\ on</th>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>"
        )

    def _row(self, row: int) -> str:
        return "".join(self._cell((row, column)) for column in range(len(self.languages)))

    def _cell(self, place: tuple[int, int]) -> str:
        value, low, high = (float(each[place]) for each in (self.values, self.low, self.high))
        if np.isnan(value):
            return "<td>failed</td>"
        ends = "" if np.isnan(low) else f"[{low:+.4f}, {high:+.4f}]"
        red, green, blue = HARM if value * self.harm > 0 else BENEFIT
        strength = 0.75 * abs(value) / (float(np.nanmax(np.abs(self.values))) or 1.0)
        colour = f"background: rgba({red}, {green}, {blue}, {strength:.2f})"
        return f'<td title="{ends}" style="{colour}">{value:+.4f}{"*" if self.marked[place] else ""}</td>'


def _numbers(row: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in row]


def stands_out(cell: CellResult) -> bool:
    """Tell whether a change is significant against none and against random neurons, both corrected over the matrix.

    A cell without random neurons never is.
    """
    control = None if cell.control is None else cell.control.q
    return cell.q is not None and control is not None and max(cell.q, control) < LEVEL


def matrix_of(record: Record, task: str) -> Matrix:
    """Return the matrix of a task; raises `UnknownNameError` for one that the record lacks."""
    described = record.task(task)
    if described is None:
        raise UnknownNameError("task of this record", task, [each.name for each in record.tasks])
    cells = {(cell.target, cell.language): cell for cell in record.cells if cell.task == task}
    targets, languages = tuple(target.name for target in record.targets), tuple(described.languages)
    shape = (len(targets), len(languages))
    values, low, high = (np.full(shape, np.nan) for _ in range(3))
    marked = np.zeros(shape, dtype=bool)
    for place in np.ndindex(shape):
        cell = cells.get((targets[place[0]], languages[place[1]]))
        if cell is not None and cell.change is not None:
            values[place] = cell.change
            low[place], high[place] = cell.interval or (np.nan, np.nan)
            marked[place] = stands_out(cell)
    title = f"{record.detector.name} / {record.intervention.name} on {record.model.name} :: {task}, edited minus intact"
    harm = 1 if described.direction == "lower" else -1
    return Matrix(title, task, described.unit, targets, languages, values, low, high, marked, harm)


def record_html(record: Record) -> str:
    """Return what a record says in a few lines, and its matrices."""
    names = (record.detector.name, record.intervention.name, record.model.name)
    lines = ["<strong>{} / {} on {}</strong>".format(*map(escape, names))]
    for summary in record.summary:
        found = summary.selectivity
        value = "not measured" if found is None else f"{found.value:+.4f}"
        low, high = (found.interval if found is not None else None) or (None, None)
        ends = "" if low is None or high is None else f" [{low:+.4f}, {high:+.4f}]"
        lines.append(f"{escape(summary.task)}: selectivity {value}{ends}")
    lines += [f"! {escape(warning)}" for warning in record.warnings]
    tables = [matrix_of(record, task.name)._repr_html_() for task in record.tasks]
    return f"<p>{'<br>'.join(lines)}</p>{''.join(tables)}"
