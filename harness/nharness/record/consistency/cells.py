"""The matrix of cells and its baselines: nothing dropped, nothing twice, differences that are differences."""

from __future__ import annotations

from collections.abc import Iterator

from nharness.record.cells import CellResult
from nharness.record.consistency.closeness import close
from nharness.record.model import Record
from nharness.record.problems import Problem

_SHOWN = 20
_VALUES = ("baseline", "edited", "change", "interval", "p", "q", "mcnemar_p", "perplexity_ratio", "control")


def cell_problems(record: Record) -> Iterator[Problem]:
    """Yield problems of the baselines and the cells."""
    yield from _baselines(record)
    yield from _complete(record)
    sizes = {target.name: target.neurons for target in record.targets}
    for index, cell in enumerate(record.cells):
        where = f"/cells/{index}"
        if cell.status == "failed":
            yield from _failed(where, cell)
        else:
            yield from _computed(where, cell, record)
            if sizes.get(cell.target) and cell.edited_activations == 0:
                yield Problem(f"{where}/edited_activations", "the target has neurons, but nothing was edited")


def _baselines(record: Record) -> Iterator[Problem]:
    expected = {(task.name, tag) for task in record.tasks for tag in task.languages}
    failed = {(c.task, c.language) for c in record.cells if c.status == "failed"}
    found: set[tuple[str, str]] = set()
    for index, entry in enumerate(record.baseline):
        key = (entry.task, entry.language)
        if key not in expected:
            yield Problem(f"/baseline/{index}", f"no task {entry.task} in language {entry.language} is listed")
        elif key in found:
            yield Problem(f"/baseline/{index}", f"task {entry.task} has a second baseline in {entry.language}")
        found.add(key)
    for task, tag in sorted(expected - found - failed)[:_SHOWN]:
        yield Problem("/baseline", f"no baseline of task {task} in language {tag}")


def _complete(record: Record) -> Iterator[Problem]:
    targets = [target.name for target in record.targets]
    expected = {(t.name, target, tag) for t in record.tasks for target in targets for tag in t.languages}
    found: set[tuple[str, str, str]] = set()
    for index, cell in enumerate(record.cells):
        key = (cell.task, cell.target, cell.language)
        if key not in expected:
            yield Problem(f"/cells/{index}", f"no such combination: {cell.target} on {cell.task} in {cell.language}")
        elif key in found:
            yield Problem(f"/cells/{index}", f"{cell.target} on {cell.task} in {cell.language} is listed twice")
        found.add(key)
    missing = sorted(expected - found)
    for task, target, tag in missing[:_SHOWN]:
        yield Problem("/cells", f"{target} on {task} in {tag} was dropped; a failed cell stays, with its reason")
    if len(missing) > _SHOWN:
        yield Problem("/cells", f"and {len(missing) - _SHOWN} further cells were dropped")


def _failed(where: str, cell: CellResult) -> Iterator[Problem]:
    if not cell.reason:
        yield Problem(f"{where}/reason", "a failed cell needs a reason")
    for name in _VALUES:
        if getattr(cell, name) is not None:
            yield Problem(f"{where}/{name}", "a failed cell must not have values")


def _computed(where: str, cell: CellResult, record: Record) -> Iterator[Problem]:
    if cell.reason is not None:
        yield Problem(f"{where}/reason", "only a failed cell has a reason")
    if cell.baseline is None or cell.edited is None or cell.change is None:
        yield Problem(where, "baseline, edited and change are needed unless the cell failed")
        return
    scale = max(abs(cell.edited), abs(cell.baseline))
    if not close(cell.change, cell.edited - cell.baseline, record, scale=scale):
        yield Problem(f"{where}/change", f"change is {cell.change}, edited - baseline is {cell.edited - cell.baseline}")
    if cell.interval is not None and cell.interval[0] > cell.interval[1]:
        yield Problem(f"{where}/interval", "the lower end is above the upper end")
    if cell.p is not None and cell.q is not None and cell.q < cell.p and not close(cell.q, cell.p, record):
        yield Problem(f"{where}/q", "q after correction is below p")
    if cell.items > cell.items_available:
        yield Problem(f"{where}/items", f"{cell.items} items used, {cell.items_available} available")
    if cell.items == 0:
        yield Problem(f"{where}/items", "a computed cell must have items")
