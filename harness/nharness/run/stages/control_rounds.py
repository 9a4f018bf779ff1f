"""Which random controls a run evaluates next, round by round, and the changes that this is decided from.

The plan of `nharness.analysis.controls` says which draws are still needed to decide; here it meets the cells of a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from nharness.analysis.controls import ControlPlan, ControlRules
from nharness.analysis.measurements import Measurement, pair
from nharness.cells import Cell, CellOutcome, Edition
from nharness.run.context import RunContext

LIKELIHOODS = frozenset({"nll", "margin"})
Controls = Mapping[Edition, Sequence[Cell]]
Drawn = dict[tuple[str, int, str], float | None]


@dataclass(frozen=True)
class ControlRounds:
    """Reads the outcomes of an evaluation as they come in; `outcomes` is the evaluation's own, growing mapping."""

    context: RunContext
    outcomes: Mapping[Cell, CellOutcome]

    def until_decided(self, controls: Controls) -> Iterator[dict[Edition, list[Cell]]]:
        """Yield what every detection's control plan asks for next, until none asks for more.

        What was yielded must have an outcome before the next round is asked for.
        """
        families: dict[tuple[object, ...], list[Edition]] = {}
        for edition in controls:
            same = (edition.detector, edition.intervention, edition.strength, edition.budget)
            families.setdefault(same, []).append(edition)
        while True:
            wanted: dict[Edition, list[Cell]] = {}
            for editions in families.values():
                for cell in self._next(editions, controls):
                    if cell.edition is not None and cell not in self.outcomes:
                        wanted.setdefault(cell.edition, []).append(cell)
            if not wanted:
                return
            yield wanted

    def change(self, cell: Cell) -> float | None:
        """Return a cell's change against the baseline on the items both have; None where one of them is missing."""
        return self._paired(cell, sample=False)

    def moved(self, cell: Cell) -> bool | None:
        """Return whether any item's value differs from the baseline's; None where that would say nothing.

        An answer or a text may well be the same after an edit; a likelihood (`nll`, `margin`) is not.
        """
        outcome, baseline = self.outcomes.get(cell), self.outcomes.get(Cell(None, cell.task, cell.language))
        if outcome is None or baseline is None or not outcome.items or not baseline.items:
            return None
        before = {item.id: item.values for item in baseline.items}
        if any(item.id in before and item.values != before[item.id] for item in outcome.items):
            return True
        return False if LIKELIHOODS & set(outcome.items[0].values) else None

    def _next(self, editions: Sequence[Edition], controls: Controls) -> Iterator[Cell]:
        spec = self.context.spec.controls
        by_draw = {(edition.target, edition.control): edition for edition in editions}
        targets = tuple(dict.fromkeys(edition.target for edition in editions))
        for task in dict.fromkeys(cell.task for edition in editions for cell in controls[edition]):
            allowed = {cell for edition in editions for cell in controls[edition] if cell.task == task}
            languages = tuple(dict.fromkeys(cell.language for cell in allowed))
            rules = ControlRules.between(min(spec.least, spec.draws), spec.draws)
            plan = ControlPlan(targets, tuple(sorted(languages)), rules)
            for request in plan.next(*self._evidence(editions[0], task, targets, languages)):
                edition = by_draw.get((request.target, request.draw))  # None for a draw that -k left out
                cells = [Cell(edition, task, language) for language in request.languages] if edition else []
                yield from (cell for cell in cells if cell in allowed)

    def _evidence(
        self, sample: Edition, task: str, targets: Sequence[str], languages: Sequence[str]
    ) -> tuple[dict[tuple[str, str], float | None], Drawn]:
        """Return targets' and draws' changes of one family, both on the items that draws are evaluated on."""
        effects: dict[tuple[str, str], float | None] = {}
        draws: Drawn = {}
        for target, language in product(targets, languages):
            for number in [None, *range(self.context.spec.controls.draws)]:
                cell = Cell(replace(sample, target=target, control=number), task, language)
                if cell not in self.outcomes:
                    continue
                if number is None:
                    effects[target, language] = self._paired(cell, sample=True)
                else:
                    draws[target, number, language] = self.change(cell)
        return effects, draws

    def _paired(self, cell: Cell, *, sample: bool) -> float | None:
        """Return edited minus baseline on the items of both, with `sample` on those that draws are evaluated on.

        It is in bits per byte for perplexity, else the metric's mean.
        """
        outcome, baseline = self.outcomes.get(cell), self.outcomes.get(Cell(None, cell.task, cell.language))
        if outcome is None or baseline is None or cell.edition is None:
            return None
        task, items = self.context.plan.tasks[cell.task, cell.language], outcome.items
        if sample and self.context.resolved.runner(task).by_document:
            wanted = {document.id for document in self.context.worker.text(cell.language, sample=True).documents}
            items = [item for item in items if item.id in wanted]
        if not items or not baseline.items:
            return None
        key = (task.name, None, None, task.language)
        paired = pair(Measurement.of(key, baseline.items), Measurement.of(key, items), task.metric)
        return None if paired is None else paired.change
