"""A record as its page shows it: plain values, computed once, which templates only place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from nharness.languages import display_name
from nharness.record.cautions import cautions
from nharness.record.cells import CellResult, Target, Task
from nharness.record.flags import MEANING
from nharness.record.matrix import stands_out
from nharness.record.model import Record
from nharness.record.origin import origin, origin_text
from nharness.record.reproduction import Reproduction
from nharness.record.results import TaskSummary
from nharness.record.specification import command
from nharness.report.matrix import drawn
from nharness.report.structure import structure_lines
from nharness_leaderboard.charts import Chart, charts
from nharness_leaderboard.ranks import Standing, Standings
from nharness_leaderboard.results import Entry, slug
from nharness_leaderboard.site.text import fixed, intervention_text, p_value, rounded, selection_text, whole


@dataclass(frozen=True)
class HeatCell:
    """One cell of the matrix: harm (None when it failed), its text, its shade 0 to 100 towards harm or gain."""

    language: str
    harm: float | None
    text: str
    shade: int
    side: str
    own: bool
    significant: bool
    flags: tuple[str, ...]
    title: str


@dataclass(frozen=True)
class HeatRow:
    """One row of the matrix: what was deactivated."""

    target: str
    name: str
    neurons: int
    cells: tuple[HeatCell, ...]


@dataclass(frozen=True)
class TaskView:
    """One task on the page: the task, its matrix and its summary.

    flags: meanings of the flags that mark cells. columns: by language, the flags of all its computed cells, which
        mark the column instead. marked: whether random neurons were drawn, without which no cell is significant.
    """

    task: Task
    summary: TaskSummary | None
    rows: tuple[HeatRow, ...]
    largest: float
    languages: tuple[tuple[str, str], ...]
    flags: Mapping[str, str]
    columns: Mapping[str, frozenset[str]]
    marked: bool

    @property
    def harm_to_all(self) -> float | None:
        """Mean harm over all cells where no row has a language of its own, else None."""
        found = [cell.harm for row in self.rows for cell in row.cells if cell.harm is not None]
        return fmean(found) if found and not (self.summary and self.summary.rows) else None


@dataclass(frozen=True)
class RecordView:
    """Everything a record page needs."""

    slug: str
    record: Record
    title: str
    asked: str
    standing: Standing | None
    detector_page: str
    model_page: str
    tasks: tuple[TaskView, ...]
    charts: tuple[Chart, ...]
    warnings: tuple[str, ...]
    structure: tuple[str, ...]
    names: Mapping[str, str]
    cost: Mapping[str, float]
    command: str
    origin: str
    modified: bool
    again: str


def record_view(entry: Entry, placed: Standings, reproduction: Reproduction | None = None) -> RecordView:
    """Return the view of one record."""
    record = entry.record
    tags = [*record.languages, *(tag for task in record.tasks for tag in task.languages)]
    return RecordView(
        slug=entry.slug,
        record=record,
        title=f"{record.detector.name} on {record.model.name}",
        asked=", ".join([intervention_text(record), *selection_text(record.selection)]),
        standing=placed.of(entry.slug),
        detector_page=slug(record.detector.name),
        model_page=slug(record.model.name),
        tasks=tuple(_task(record, task) for task in record.tasks),
        charts=tuple(charts(record)),
        warnings=cautions(record),
        structure=tuple(structure_lines(record)),
        names={target.name: _name(target) for target in record.targets} | {tag: display_name(tag) for tag in tags},
        cost={"tokens": sum(record.cost.forward_tokens.values()), "seconds": sum(record.cost.seconds.values())},
        command=command(record),
        origin=origin_text(record),
        modified=origin(record) == "modified",
        again=_again(record, reproduction),
    )


def _again(record: Record, found: Reproduction | None) -> str:
    """Return the outcome of making the record again, in a sentence; empty if it was not done."""
    if found is None:
        return ""
    text = f"{found.verdict} on {found.created[:10]}: {whole(found.identical)} of {whole(found.items)} items identical"
    text += f", {whole(found.beyond)} beyond the noise floor"
    if found.rungs_apart:
        text += f", {whole(found.rungs_apart)} rungs of other neurons or repeats held by the headline alone"
    if found.headline_difference is not None:
        text += f", the headline moved by {rounded(found.headline_difference, 2)}"
    return f"{text}; {made_by(record, found)}"


def made_by(record: Record, found: Reproduction) -> str:
    """Return how independent a reproduction is: by which source code, and in which environment."""
    sources = [None if each is None else each.nharness.digest for each in (record.identity.source, found.source)]
    if None in sources:
        source = "source unknown"
    else:
        source = "by the same source" if sources[0] == sources[1] else f"by other source ({str(sources[1])[:12]})"
    if found.environment_changes:
        return f"{source}, in another environment: {', '.join(found.environment_changes)}"
    return f"{source}, in the same environment"


def _name(target: Target) -> str:
    if target.language is None:
        return f"{target.name} neurons"
    return f"{display_name(target.language)} {target.share}".rstrip()


def _task(record: Record, task: Task) -> TaskView:
    cells = {(cell.target, cell.language): cell for cell in record.cells if cell.task == task.name}
    largest = max((abs(cell.change) for cell in cells.values() if cell.change is not None), default=0.0)
    rows = tuple(
        HeatRow(
            target=target.name,
            name=_name(target),
            neurons=target.neurons,
            cells=tuple(_heat(cells[target.name, tag], task, target.language, largest) for tag in task.languages),
        )
        for target in record.targets
    )
    flags = {flag: MEANING[flag] for row in rows for cell in row.cells for flag in cell.flags}
    columns = {}
    for tag in task.languages:
        found = [set(cells[row.target, tag].flags) for row in rows if cells[row.target, tag].change is not None]
        columns[tag] = frozenset[str](set.intersection(*found) if found else ())
    return TaskView(
        task=task,
        summary=record.summary_of(task.name),
        rows=rows,
        largest=largest,
        flags=flags,
        columns=columns,
        marked=task.name in drawn(record),
        languages=tuple((tag, display_name(tag)) for tag in task.languages),
    )


def _heat(cell: CellResult, task: Task, own: str | None, largest: float) -> HeatCell:
    harm = None if cell.change is None else (cell.change if task.direction == "lower" else -cell.change)
    places = 4 if largest < 0.1 else 3 if largest < 10 else 1
    shade = round(100 * abs(harm) / largest) if harm is not None and largest else 0
    return HeatCell(
        language=cell.language,
        harm=harm,
        text="failed" if harm is None else fixed(harm, places),
        shade=shade,
        side="gain" if harm is not None and harm < 0 else "harm",
        own=own == cell.language,
        significant=stands_out(cell),
        flags=tuple(cell.flags),
        title=_title(cell, harm),
    )


def _title(cell: CellResult, harm: float | None) -> str:
    if harm is None:
        return f"failed: {cell.reason}"
    parts = [f"baseline {rounded(cell.baseline, 4)}, edited {rounded(cell.edited, 4)}"]
    if cell.interval:
        parts.append(
            f"change {rounded(cell.change, 3)} ({rounded(cell.interval[0], 3)} to {rounded(cell.interval[1], 3)})"
        )
    parts.append(f"q {p_value(cell.q)}, {whole(cell.items)} of {whole(cell.items_available)} items")
    if cell.perplexity_ratio is not None:
        parts.append(f"perplexity x {rounded(cell.perplexity_ratio, 4)}")
    if cell.control and cell.control.effect is not None:
        parts.append(f"{rounded(cell.control.effect, 3)} sd from {cell.control.draws} random draws")
    return "; ".join([*parts, *(MEANING[flag] for flag in cell.flags)])
