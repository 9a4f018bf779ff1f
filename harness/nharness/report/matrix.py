"""The language x language matrix of a record, coloured by size and sign, significance marked.

Rows are whose neurons were edited, columns the language that was measured. `*` marks a change that stands out from none
and from random neurons, both corrected (q below 0.05); orange is harm, blue is benefit, both dark when large. Heading,
signs and legend follow from what the intervention is for and from what was drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rich.style import Style
from rich.table import Table
from rich.text import Text

from nharness.record.cells import NOT_MEASURED, CellResult
from nharness.record.flags import flag_lines
from nharness.record.matrix import BENEFIT, HARM, stands_out
from nharness.record.model import Record
from nharness.record.results import TaskSummary

SMALL = 0.5
WIDEST = 20
"""Languages of a matrix shown cell by cell; of more, each row says its own value, the others' mean and their worst."""
CORNER = {"harm": "off", "steer": "to", "restore": "restored"}


@dataclass(frozen=True)
class Measure:
    """What is shown of a cell: its name, its value, the value that means no effect, and whether more is worse."""

    title: str
    digits: int
    neutral: float
    harm: int

    def value(self, cell: CellResult) -> float | None:
        """Return the cell's value, None for a failed cell."""
        return cell.perplexity_ratio if self.neutral else cell.change


def measure_of(record: Record, task: str) -> Measure:
    """Return what to show for a task: perplexity ratios, or changes in the task's unit."""
    described = record.task(task)
    if described is not None and described.unit == "bits per byte":
        edited = "deactivated" if record.intervention.purpose == "harm" else "edited"
        return Measure(f"perplexity, {edited} / intact", 2, 1.0, 1)
    unit = described.unit if described else "value"
    worse = 1 if described is not None and described.direction == "lower" else -1
    return Measure(f"change of {unit}", 2, 0.0, worse)


def matrix_title(record: Record, task: str) -> str:
    """Return what a task's matrix shows, for the line above it; nothing in it can command a terminal."""
    strength = "" if record.intervention.strength is None else f" x {record.intervention.strength:g}"
    budget = "" if record.selection.budget is None else f" at budget {record.selection.budget:g}"
    return _printable(
        f"{record.detector.name}{budget} / {record.intervention.name}{strength} on {record.model.name} :: {task} -- "
        f"{measure_of(record, task).title}"
    )


def summary_units(record: Record) -> str:
    """Return what the numbers of `summary_rows` are, for the line below them."""
    sign = "harm" if record.intervention.purpose == "harm" else "gain"
    source = record.intervention.source
    left = f"; {source}, which is led away from, is in no mean" if source is not None else ""
    return _printable(f"+ is {sign} ({'; '.join(f'{task.name}: {task.unit}' for task in record.tasks)}){left}")


def legend(record: Record) -> str:
    """Return what `*` means in this record, which depends on the random neurons it was held against."""
    with_draws = drawn(record)
    without = [task.name for task in record.tasks if task.name not in with_draws]
    if not with_draws:
        return "nothing is marked: no random neurons were drawn"
    text = "* q < 0.05 against no change and against random neurons"
    return text if not without else _printable(f"{text} (none on {', '.join(without)}, without random neurons)")


def drawn(record: Record) -> frozenset[str]:
    """Return the tasks on which random neurons were measured."""
    draws = record.controls.draws if record.controls is not None else ()
    return frozenset(task for draw in draws for task in draw.changes)


def caution_lines(record: Record) -> list[str]:
    """Return what the flags of the record's cells say, task by task, and why intervals are withheld."""
    lines = []
    for task in record.tasks:
        cells = [cell for cell in record.cells if cell.task == task.name]
        name = f"{task.name}: " if len(record.tasks) > 1 else ""
        lines += [_printable(f"{name}{line}") for line in flag_lines(cells, task.languages)]
    return lines


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def matrix_table(record: Record, task: str) -> Table:
    """Return the task's matrix as a rich table; on a terminal without colour, or piped, the numbers stand alone."""
    measure = measure_of(record, task)
    languages = [language for language in record.languages if any(c.language == language for c in record.cells)]
    cells = {(cell.target, cell.language): cell for cell in record.cells if cell.task == task}
    scale = max((_harm(measure, cell) for cell in cells.values()), key=abs, default=0.0)
    if abs(scale) < SMALL:
        measure = replace(measure, digits=3)
    if len(languages) > WIDEST:
        return _narrow_table(record, measure, cells, abs(scale))
    table = Table(box=None, padding=(0, 0), header_style="bold")
    table.add_column(f"{CORNER[record.intervention.purpose]} \\ on ", justify="right", style="bold")
    for language in languages:
        table.add_column(f"{language:>7} ", justify="right")
    table.add_column(" neurons", justify="right")
    for target in record.targets:
        row = [
            _cell(measure, cells.get((target.name, language)), abs(scale), own=language == target.language)
            for language in languages
        ]
        table.add_row(f"{target.name} ", *row, f"{target.neurons}")
    return table


def _narrow_table(record: Record, measure: Measure, cells: Mapping[tuple[str, str], CellResult], scale: float) -> Table:
    """Return a row per target: its own language's value, the others' mean, and the other that is hit hardest."""
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for name in (f"{CORNER[record.intervention.purpose]} ", "own", "others", "worst", "on", "neurons"):
        table.add_column(name, justify="right")
    for target in record.targets:
        others = {
            cell: value
            for (name, language), cell in cells.items()
            if name == target.name and language != target.language and (value := measure.value(cell)) is not None
        }
        worst = max(others, key=lambda cell: _harm(measure, cell), default=None)
        mean = f"{sum(others.values()) / len(others):.{measure.digits}f}" if others else "-"
        table.add_row(
            target.name,
            _cell(measure, cells.get((target.name, target.language or "")), scale, own=True),
            mean,
            _cell(measure, worst, scale, own=False),
            worst.language if worst else "-",
            f"{target.neurons}",
        )
    return table


def _harm(measure: Measure, cell: CellResult) -> float:
    value = measure.value(cell)
    return 0.0 if value is None else measure.harm * (value - measure.neutral)


def _cell(measure: Measure, cell: CellResult | None, scale: float, *, own: bool) -> Text:
    if cell is None or (cell.reason or "").endswith(NOT_MEASURED):
        return Text("   .    ", style="dim")
    value = measure.value(cell)
    if value is None:
        return Text(" failed ", style="red")
    mark = "*" if stands_out(cell) else " "
    text = f"{value:7.{measure.digits}f}{mark}"
    return Text(text, style=_colour(_harm(measure, cell), scale) + Style(bold=own))


def _colour(harm: float, scale: float) -> Style:
    """Return a background from white to orange (harm) or blue (benefit); the root keeps small effects visible."""
    if scale <= 0 or harm == 0:
        return Style()
    share = min(1.0, (abs(harm) / scale) ** 0.5)
    end = HARM if harm > 0 else BENEFIT
    mixed = [round(255 + (part - 255) * share) for part in end]
    foreground = "white" if share > 0.55 else "black"
    return Style(color=foreground, bgcolor="#{:02x}{:02x}{:02x}".format(*mixed)) if share > 0.05 else Style()


def summary_rows(record: Record) -> Sequence[Mapping[str, str]]:
    """Return one row per task in the board's words: harm to the own language and to the others, and what follows."""
    return [
        {
            "task": summary.task,
            "own language": _estimate(summary.on_target),
            "others": _estimate(summary.off_target),
            "selectivity": _estimate(summary.selectivity),
            "own hit hardest": "-" if summary.diagonal_share is None else f"{summary.diagonal_share:.0%}",
            "random": _random(summary),
        }
        for summary in record.summary
    ]


def _random(summary: TaskSummary) -> str:
    controls = summary.control_selectivity
    if controls is None:
        return "-"
    if controls.p is None:
        return f"{controls.mean:+.4f} ({controls.draws} draws)"
    if controls.at_floor:
        return f"{controls.mean:+.4f} (beyond what {controls.draws} draws can tell, p <= {controls.p:.2g})"
    return f"{controls.mean:+.4f} (p {controls.p:.3f}, {controls.draws} draws)"


def _estimate(estimate: object) -> str:
    value, interval = getattr(estimate, "value", None), getattr(estimate, "interval", None)
    if value is None:
        return "-"
    if interval is None:
        return f"{value:+.4f}{' [no interval]' if getattr(estimate, 'withheld', None) else ''}"
    return f"{value:+.4f} [{interval[0]:+.4f}, {interval[1]:+.4f}]"
