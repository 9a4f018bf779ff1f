"""Random controls: every draw accounted for, none dropped, effects that follow from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from statistics import fmean

from nharness.record.cells import CellControl, CellResult, Controls
from nharness.record.consistency.closeness import close
from nharness.record.model import Record
from nharness.record.problems import Problem

Key = tuple[str, str, str]


def control_problems(record: Record) -> Iterator[Problem]:
    """Yield problems of the draws and of every cell's comparison with them."""
    changes: dict[Key, list[float]] = {}
    if record.controls is not None:
        yield from _draws(record, record.controls)
        changes = _changes(record.controls)
    for index, cell in enumerate(record.cells):
        if cell.control is not None:
            yield from _cell(f"/cells/{index}/control", cell, cell.control, changes, record)
        elif cell.status == "ok" and changes.get((cell.task, cell.target, cell.language)):
            yield Problem(f"/cells/{index}/control", "draws were evaluated for this cell; the comparison was dropped")


def _draws(record: Record, controls: Controls) -> Iterator[Problem]:
    targets = {target.name: target for target in record.targets}
    languages = {task.name: set(task.languages) for task in record.tasks}
    seen: set[tuple[str, int]] = set()
    for index, draw in enumerate(controls.draws):
        where = f"/controls/draws/{index}"
        if draw.target not in targets:
            yield Problem(f"{where}/target", f"no target {draw.target}")
        elif draw.neurons != targets[draw.target].neurons:
            wanted = targets[draw.target].neurons
            yield Problem(f"{where}/neurons", f"{draw.neurons} random neurons for a target of {wanted}")
        if (draw.target, draw.draw) in seen:
            yield Problem(where, f"draw {draw.draw} of target {draw.target} is listed twice")
        seen.add((draw.target, draw.draw))
        for task, changes in draw.changes.items():
            if not set(changes) <= languages.get(task, set()):
                yield Problem(f"{where}/changes/{task}", "a task or language that the record does not list")
    counts = Counter(target for target, _ in seen)
    for target, count in counts.items():
        if {number for name, number in seen if name == target} != set(range(count)):
            yield Problem("/controls/draws", f"draws of target {target} are not numbered from 0 without a gap")


def _changes(controls: Controls) -> dict[Key, list[float]]:
    found: dict[Key, list[float]] = {}
    for draw in controls.draws:
        for task, changes in draw.changes.items():
            for tag, change in changes.items():
                if change is not None:
                    found.setdefault((task, draw.target, tag), []).append(change)
    return found


def _cell(
    where: str, cell: CellResult, control: CellControl, changes: dict[Key, list[float]], record: Record
) -> Iterator[Problem]:
    drawn = changes.get((cell.task, cell.target, cell.language), [])
    if control.draws != len(drawn):
        yield Problem(f"{where}/draws", f"{control.draws} draws, but {len(drawn)} are listed under controls")
    elif drawn and not close(control.mean, fmean(drawn), record, scale=max(map(abs, drawn))):
        yield Problem(f"{where}/mean", f"mean is {control.mean}, that of the draws is {fmean(drawn)}")
    if control.worse is not None and control.worse > control.draws:
        yield Problem(f"{where}/worse", f"{control.worse} of {control.draws} draws")
    if (
        control.p is not None
        and control.q is not None
        and control.q < control.p
        and not close(control.q, control.p, record)
    ):
        yield Problem(f"{where}/q", "q after correction is below p")
    if control.effect is not None and control.sd and control.effect * (control.change - control.mean) < 0:
        yield Problem(f"{where}/effect", "the effect has the opposite sign of change - mean")
    if control.items > cell.items:
        yield Problem(f"{where}/items", f"{control.items} items, the cell itself has {cell.items}")
