"""What a plan would cost at most, in forward tokens; loads no model and no tensor library.

Cells cost what the kinds of their tasks say. The ladders of `--ladder` are no cells of a plan, since what is measured
decides which rungs are climbed; their price is that of the most rungs that a list in a model of `PRICED_UNITS` neurons
can have, the most of any model there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from nharness.analysis.ladder import AROUND, LEVELS, Ladder
from nharness.run.plan.plan import Plan
from nharness.run.plan.resolve import Resolved, why_not_repeated

PRICED_UNITS = 2**24


def estimated_tokens(resolved: Resolved, plan: Plan, *, whole: bool = True) -> int:
    """Return the most forward tokens that a plan costs, as the kinds of its tasks estimate them.

    whole: whether records are written; a part of a plan climbs no ladder, repeats no detection, reads no layers.
    """
    spec = resolved.spec
    total = len(spec.languages) * spec.corpus.detect_tokens
    for cell in plan.cells:
        task = plan.tasks[cell.task, cell.language]
        total += resolved.runner(task).tokens(task, spec, cell.role)
    if not whole:
        return total
    total += bool(spec.lens) * len(spec.languages) * spec.corpus.eval_tokens
    repeated = bool(spec.folds or spec.null) * len(spec.languages) * spec.corpus.detect_tokens
    return total + repeated + sum(_ladder(resolved, *climber) for climber in climbers(resolved, plan))


def assumed(resolved: Resolved, plan: Plan) -> str:
    """Return on what the estimate rests beside the options, as in " if xnli has 100 items of 100 tokens", or ""."""
    tasks = dict.fromkeys(plan.tasks[cell.task, cell.language] for cell in plan.cells)
    found = {task.name: resolved.runner(task).assumed(task) for task in tasks}
    guesses = " and ".join(f"{name} has {guess}" for name, guess in found.items() if guess)
    return f" if {guesses}" if guesses else ""


def climbers(resolved: Resolved, plan: Plan) -> Iterator[tuple[str, int]]:
    """Yield the detector of every ladder of `nharness.run.stages.climb`, and in how many languages it is measured."""
    if not resolved.spec.ladder:
        return
    harmful = [each for each in resolved.interventions.values() if each.purpose == "harm"]
    measured: dict[str, list[str]] = {}
    for cell in plan.cells:
        if cell.edition is None and resolved.runner(plan.tasks[cell.task, cell.language]).by_document:
            measured.setdefault(cell.task, []).append(cell.language)
    for detector, _, _ in product(resolved.detectors, harmful, resolved.spec.strengths or (None,)):
        yield from ((detector, len(tags)) for tags in measured.values() if len(tags) > 1 for _ in tags)


def _ladder(resolved: Resolved, detector: str, languages: int) -> int:
    """Return what a ladder costs at most: rungs, the others around the levels, what is read, and its repeats'."""
    spec, most = resolved.spec, Ladder(PRICED_UNITS, PRICED_UNITS).most()
    repeats = 0 if why_not_repeated(resolved.detectors[detector]) else spec.folds or 0
    texts = most + 1 + AROUND * len(LEVELS) * (languages - 1) + repeats * (most + AROUND * (languages - 1))
    return texts * spec.corpus.eval_tokens + spec.controls.draws * spec.controls.eval_tokens
