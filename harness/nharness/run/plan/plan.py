"""The plan: which cells a specification expands to, before any model is loaded.

Order: baselines first, then edition by edition (a detector's targets, then its controls), so that one edit of the model
serves all the tasks and languages of an edition.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from nharness.cells import Cell, Edition
from nharness.errors import NothingCollectedError
from nharness.run.plan.expression import compile_expression
from nharness.spec import RunSpec
from nharness.targets import GENERAL, part_target
from nharness.task import TaskSpec


@dataclass(frozen=True)
class Plan:
    """Cells in running order, what each (task, language) measures, and how many cells there were before selection."""

    cells: tuple[Cell, ...]
    tasks: Mapping[tuple[str, str], TaskSpec]
    whole: int

    @classmethod
    def empty(cls) -> Plan:
        """Return the plan of a run that evaluates nothing."""
        return cls((), {}, 0)

    def by_edition(self) -> dict[Edition | None, list[Cell]]:
        """Return the cells grouped by edition, in order."""
        groups: dict[Edition | None, list[Cell]] = {}
        for cell in self.cells:
            groups.setdefault(cell.edition, []).append(cell)
        return groups

    def narrowed(self, chosen: Collection[Cell]) -> Plan:
        """Return the plan cut to the chosen cells, in their order, after the baselines that they need."""
        needed = {(cell.task, cell.language) for cell in chosen}
        baselines = [cell for cell in self.cells if cell.edition is None and (cell.task, cell.language) in needed]
        return replace(self, cells=(*baselines, *(cell for cell in chosen if cell.edition is not None)))


def make_plan(spec: RunSpec, languages: Sequence[str], tasks: Sequence[TaskSpec]) -> Plan:
    """Return every cell of the specification for resolved languages and tasks."""
    measured = {(task.name, task.language): task for task in tasks}
    cells = [Cell(None, task, language) for task, language in measured]
    for edition in editions(spec, languages):
        cells += [
            Cell(edition, task, language)
            for task, language in measured
            if edition.control is None or spec.controls.measures(measured[task, language].family)
        ]
    return Plan(tuple(cells), measured, len(cells))


def editions(spec: RunSpec, languages: Sequence[str]) -> Iterator[Edition]:
    """Yield every edition: each detection's targets, each followed by its control draws."""
    budgets: tuple[float | None, ...] = spec.budget_curve or (spec.budget,)
    targets = target_names(spec, languages)
    strengths: tuple[float | None, ...] = spec.strengths or (None,)
    draws: tuple[int | None, ...] = (None, *range(spec.controls.draws))
    for detector, intervention, budget, strength in product(spec.detectors, spec.interventions, budgets, strengths):
        for target, control in product(targets, draws):
            yield Edition(detector.name, target, intervention.name, control, strength, budget)


def target_names(spec: RunSpec, languages: Sequence[str]) -> tuple[str, ...]:
    """Return the targets of a detection in order, the rows of its matrix."""
    if spec.kinds == (GENERAL,):
        return (GENERAL,)
    if not spec.progressive:
        return tuple(languages)
    return tuple(part_target(tag, share) for tag, share in product(languages, spec.progressive))


def select(plan: Plan, expression: str) -> Plan:
    """Return the plan cut to the cells that `-k` chose, and the baselines that those need.

    Raises `NothingCollectedError` when no cell is left.
    """
    if not expression.strip():
        return plan
    matches = compile_expression(expression)
    chosen = [cell for cell in plan.cells if matches(cell.id)]
    if not chosen:
        raise NothingCollectedError(f"-k {expression!r} matches none of {len(plan.cells)} cells")
    return plan.narrowed(chosen)
