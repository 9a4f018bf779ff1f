"""Collection: a specification's things and cells, and what they would cost; loads no model and no tensor library."""

from __future__ import annotations

from nharness.plugins import Plugins
from nharness.run.claims import read_statement
from nharness.run.plan import Plan, make_plan, select
from nharness.run.resolve import Resolved, resolve
from nharness.spec import RunSpec

ITEM_TOKENS = 100
ITEMS = 100


def collected(spec: RunSpec, plugins: Plugins, expression: str = "") -> tuple[Resolved, Plan]:
    """Return the things a specification names and the cells it comes to; loads no model."""
    for claim in spec.claims:
        read_statement(claim.statement)
    resolved = resolve(spec, plugins)
    plan = select(make_plan(resolved.spec, resolved.languages, resolved.tasks), expression)
    cells = list(plan.cells)
    plugins.hook.nharness_collection_modify(cells=cells)
    return resolved, Plan(tuple(cells), plan.tasks)


def estimated_tokens(spec: RunSpec, plan: Plan) -> int:
    """Return the most forward tokens a plan costs.

    lm-eval items are counted as `ITEM_TOKENS` tokens each, `ITEMS` of them per task and language without a limit.
    """
    total = len(spec.languages) * spec.corpus.detect_tokens
    for cell in plan.cells:
        control = cell.edition is not None and cell.edition.control is not None
        if plan.tasks[cell.task, cell.language].kind == "perplexity":
            total += spec.controls.eval_tokens if control else spec.corpus.eval_tokens
        else:
            total += ITEM_TOKENS * (spec.task_options.limit or ITEMS)
    return total
