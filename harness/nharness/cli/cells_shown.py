"""`nharness run --collect-only` and `nharness plan`: the tree of cells, their number and their cost."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nharness.cli.output import say, say_json, tell
from nharness.cli.pace import duration
from nharness.cli.preflight import require_executor, require_model
from nharness.cli.where import default_out
from nharness.errors import UnreachableError
from nharness.plugins import Plugins
from nharness.run.plan.parts import part_of, read_part
from nharness.run.plan.plan import Plan
from nharness.run.plan.planned import check_text, planned
from nharness.run.plan.price import assumed, climbers, estimated_tokens
from nharness.run.plan.rates import rate_of
from nharness.run.plan.resolve import Resolved
from nharness.run.results.folder import RunFolder
from nharness.spec import RunSpec


def show_cells(spec: RunSpec, plugins: Plugins, arguments: argparse.Namespace) -> int:
    """Print what a run would do; run nothing."""
    show_runs({"": (spec, getattr(arguments, "out", None))}, plugins, arguments)
    return 0


def show_runs(runs: Mapping[str, tuple[RunSpec, Path | None]], plugins: Plugins, arguments: argparse.Namespace) -> None:
    """Print what several runs would do, by heading, each with the folder it has or would have; run nothing."""
    found: list[dict[str, Any]] = []
    unread, guesses = set[str](), dict[str, None]()
    for heading, (spec, folder) in runs.items():
        resolved, whole = _checked(spec, folder, plugins, arguments, unread)
        plan = part_of(whole, read_part(arguments.shard)) if arguments.shard else whole
        writes = not (arguments.shard or getattr(arguments, "last_failed", False))
        tokens = estimated_tokens(resolved, plan, whole=writes)
        ladders = sum(1 for _ in climbers(resolved, plan)) if writes else 0
        rate = rate_of(resolved.spec.model)
        guess = assumed(resolved, plan)
        guesses[guess] = None
        priced = {"forward_tokens": tokens, "assumed": guess.strip(), "tokens_per_second": rate}
        found.append({"cells": [cell.id for cell in plan.cells], "ladders": ladders, **priced})
        if not arguments.json:
            if heading:
                say(f"\n{heading}")
            _print_tree(plan, arguments)
            part = f"part {arguments.shard} of {len(whole.cells)} cells: " if arguments.shard else ""
            climbed = f", {ladders} ladders" if ladders else ""
            price = f"at most {tokens:,} forward tokens{guess}{_time(tokens, rate, arguments)}"
            say(f"{part}{_size(plan)}{climbed}, {price}")
    if arguments.json:
        several = [{"run": heading, **each} for heading, each in zip(runs, found, strict=True)]
        say_json(several if all(runs) else found[0])
    elif len(found) > 1:
        cells, tokens = sum(len(each["cells"]) for each in found), sum(each["forward_tokens"] for each in found)
        say(f"\n{len(found)} runs: {cells:,} cells, at most {tokens:,} forward tokens{';'.join(guesses)}")


def _checked(
    spec: RunSpec, folder: Path | None, plugins: Plugins, arguments: argparse.Namespace, unread: set[str]
) -> tuple[Resolved, Plan]:
    """Return what a run would collect; raises what the run would raise before it loads its model.

    A corpus on the hub that cannot be reached from here is left unread; the reason is told unless `unread` has it.
    """
    require_executor(plugins, arguments)
    try:
        resolved, plan = planned(spec, plugins, arguments.expression)
        check_text(resolved)
    except UnreachableError as error:
        resolved, plan = planned(spec, plugins, arguments.expression, unread=True)
        if str(error) not in unread:
            tell(f"priced without its text, whose languages and amount are not known here: {error}")
        unread.add(str(error))
    if getattr(arguments, "last_failed", False):
        plan = RunFolder(folder or default_out(resolved.spec)).last_failed(plan)
    require_model(resolved.spec, plugins)
    return resolved, plan


def _print_tree(plan: Plan, arguments: argparse.Namespace) -> None:
    for edition, cells in plan.by_edition().items():
        if arguments.quiet == 0 and (edition is None or edition.control is None or arguments.verbose):
            say(f"{edition.id if edition else 'baseline'}")
            by_task: dict[str, list[str]] = {}
            for cell in cells:
                by_task.setdefault(cell.task, []).append(cell.language)
            for task, languages in by_task.items():
                say(f"  {task}[{','.join(languages)}]")


def _time(tokens: int, rate: float | None, arguments: argparse.Namespace) -> str:
    """Return how long the tokens take at the rate of the model's last run here; "" where none is known."""
    if rate is None:
        return ""
    seconds = tokens / rate / (getattr(arguments, "workers", None) or 1)
    return f", {duration(seconds)} at the {rate:,.0f} tokens/s of this model's last run here"


def _size(plan: Plan) -> str:
    controls = sum(cell.edition is not None and cell.edition.control is not None for cell in plan.cells)
    return f"{len(plan.cells)} cells ({controls} controls, drawn as far as needed)"
