"""A specification's things and cells, and what they would cost; loads no model and no tensor library."""

from __future__ import annotations

from itertools import islice

from nharness.cells import Cell
from nharness.claims import read_statement, require_known
from nharness.errors import NothingCollectedError, PluginError, UsageError
from nharness.events import Collected
from nharness.plugins import Plugins
from nharness.run.plan.plan import Plan, make_plan, select
from nharness.run.plan.price import assumed, estimated_tokens
from nharness.run.plan.resolve import Resolved, resolve
from nharness.spec import RunSpec

LEAST_BLOCKS = 8
"""Blocks of the text that labels are shuffled among, at least."""


def planned(spec: RunSpec, plugins: Plugins, expression: str = "", *, unread: bool = False) -> tuple[Resolved, Plan]:
    """Return the things a specification names and the cells it expands to; loads no model. unread: as for `resolve`."""
    named = plugins.entries("claims")
    for claim in spec.claims:
        if claim.statement.strip() not in named:
            read_statement(claim.statement)
    resolved = resolve(spec, plugins, unread=unread)
    if not resolved.tasks:
        raise NothingCollectedError(f"nothing to run: {'; '.join(resolved.warnings) or 'no task'}")
    require_known(spec.claims, {task.name for task in resolved.tasks}, resolved.detectors, named)
    plan = select(make_plan(resolved.spec, resolved.languages, resolved.tasks), expression)
    return resolved, _modified(plan, plugins)


def _modified(plan: Plan, plugins: Plugins) -> Plan:
    """Return the plan as plug-ins leave it; raises `PluginError` for a cell that was not in it, or is there twice."""
    cells = list(plan.cells)
    plugins.hook.nharness_modify_cells(cells=cells)
    if cells == list(plan.cells):
        return plan
    known = set(plan.cells)
    stranger = next((cell for cell in cells if not isinstance(cell, Cell) or cell not in known), None)
    if stranger is not None or len(set(cells)) < len(cells):
        what = getattr(stranger, "id", stranger) if stranger is not None else "a cell twice"
        raise PluginError(f"a plug-in's nharness_modify_cells added {what}; it may reorder and drop cells only")
    if not cells:
        raise NothingCollectedError(f"plug-ins dropped all {len(known)} cells (nharness_modify_cells)")
    return plan.narrowed(cells)


def check_text(resolved: Resolved) -> None:
    """Raise `CorpusError` for a language without a document in one of the splits, before a model is loaded.

    Raises `UsageError` where `--folds` or `--null` need more documents to detect on than there are.
    """
    blocks = blocks_of_text(resolved.spec)
    for language in resolved.languages:
        next(resolved.corpus.documents(language, "eval"))
        found = sum(1 for _ in islice(resolved.corpus.documents(language, "detect"), max(blocks, 1)))
        if found < blocks:
            raise UsageError(too_few(language, blocks, found))


def blocks_of_text(spec: RunSpec) -> int:
    """Return into how many blocks `--folds` and `--null` deal the text: a multiple of the folds; 0 without either."""
    folds = spec.folds or 0
    if not spec.null:
        return folds
    return max(folds, 1) * -(-LEAST_BLOCKS // max(folds, 1))


def too_few(language: str, blocks: int, found: int, tokens: int | None = None) -> str:
    """Return what to say of a language with fewer documents than blocks; tokens: as many as detection may read."""
    within, raised = ("", "") if tokens is None else (f" within --detect-tokens {tokens}", "raise --detect-tokens, ")
    return (
        f"--folds, --null and --parts split a language's detection text into {blocks} blocks of at least one document; "
        f"{language} has {found}{within}; {raised}ask for fewer, or use a corpus with more documents"
    )


def check_tasks(resolved: Resolved, plan: Plan) -> None:
    """Raise an error for the first task of the plan whose data is not there, before a model is loaded."""
    for place in dict.fromkeys((cell.task, cell.language) for cell in plan.cells):
        task = plan.tasks[place]
        resolved.runner(task).check(task, resolved.spec.task_options)


def described_plan(resolved: Resolved, plan: Plan, *, whole: bool = True) -> Collected:
    """Return what was collected, as listeners hear it; whole: as of `estimated_tokens`."""
    controls = sum(cell.edition is not None and cell.edition.control is not None for cell in plan.cells)
    return Collected(
        len(plan.cells),
        plan.whole,
        sum(cell.edition is None for cell in plan.cells),
        controls,
        estimated_tokens(resolved, plan, whole=whole),
        tuple(resolved.detectors),
        tuple(resolved.interventions),
        tuple(dict.fromkeys(task.name for task in resolved.tasks)),
        resolved.languages,
        assumed(resolved, plan),
    )
