"""What a run gives in Python: records, matrices, tables, charts and claims, each as it is asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nharness.claims import ClaimResult
from nharness.errors import UsageError
from nharness.record.matrix import Matrix, matrix_of
from nharness.record.model import Record
from nharness.record.tables import Row, cell_rows


@dataclass(frozen=True)
class Results:
    """The records of a run or a study by their paths, what became of its claims and cells, and its exit code.

    exit_code: what the command would have ended with: 0, or 1 where a cell failed or a claim does not hold.
    failed: why, by the ids of the cells that failed.
    """

    paths: Mapping[Path, Record]
    claims: Sequence[ClaimResult] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    exit_code: int = 0

    @property
    def records(self) -> tuple[Record, ...]:
        """The records, in the order in which they were written."""
        return tuple(self.paths.values())

    def matrix(self, task: str | None = None, **chosen: str) -> Matrix:
        """Return the matrix of a task (the only one, where none is named) of the only record that fits.

        chosen: `detector`, `intervention` or `model` by name. Raises `UsageError` unless exactly one record is left,
        `UnknownNameError` for a task that it lacks.
        """
        record = self._one(chosen)
        return matrix_of(record, _task(record, task))

    def frame(self) -> Any:
        """Return every cell of every record: a pandas `DataFrame` where pandas is installed, else lists by column."""
        rows: list[Row] = [
            {"detector": r.detector.name, "intervention": r.intervention.name, "model": r.model.name, **row}
            for r in self.records
            for row in cell_rows(r)
        ]
        columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
        return import_module("pandas").DataFrame(columns) if find_spec("pandas") else columns

    def plot(self, task: str | None = None, **chosen: str) -> Any:
        """Return the matrix as an altair chart; arguments as for `matrix`.

        Raises `UsageError` where altair is not installed, and as `matrix` does.
        """
        record = self._one(chosen)
        described = record.task(_task(record, task))
        if find_spec("altair") is None:
            raise UsageError("charts need the package altair: pip install 'nharness[charts]'")
        charts = import_module("nharness_leaderboard.charts")
        return import_module("altair").Chart.from_json(json.dumps(charts.matrix_chart(record, described).spec))

    def _one(self, chosen: Mapping[str, str]) -> Record:
        stray = chosen.keys() - {"detector", "intervention", "model"}
        if stray:
            raise UsageError(f"a record is chosen by detector, intervention or model; got {min(stray)!r}")
        fitting = [r for r in self.records if all(getattr(r, of).name == name for of, name in chosen.items())]
        if len(fitting) != 1:
            here = ", ".join(f"{r.detector.name}/{r.intervention.name} on {r.model.name}" for r in self.records)
            raise UsageError(
                f"{len(fitting)} records fit; choose one by detector=, intervention=, model=: {here or 'none'}"
            )
        return fitting[0]

    def _repr_html_(self) -> str:
        """Return every record with its matrices, then the claims."""
        claims = "".join(f"<li>{escape(claim.line)}</li>" for claim in self.claims)
        return "".join(record._repr_html_() for record in self.records) + (f"<ul>{claims}</ul>" if claims else "")


def _task(record: Record, name: str | None) -> str:
    """Return the task's name; raises `UsageError` where none is named and there are several."""
    names = [task.name for task in record.tasks]
    if name is None and len(names) != 1:
        raise UsageError(f"several tasks; name one of {', '.join(names)}")
    return names[0] if name is None else name
