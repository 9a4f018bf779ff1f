"""`nharness run --collect-only` and `nharness plan`: the tree of cells, their number and their cost."""

from __future__ import annotations

import argparse

from nharness.cli.output import say, say_json
from nharness.plugins import Plugins
from nharness.run.plan.collect import collected, estimated_tokens
from nharness.run.plan.plan import Plan
from nharness.run.plan.shards import part_of, read_part
from nharness.spec import RunSpec


def collect(spec: RunSpec, plugins: Plugins, arguments: argparse.Namespace) -> int:
    """Print what a run would do; run nothing."""
    collect_runs({"": spec}, plugins, arguments)
    return 0


def collect_runs(runs: dict[str, RunSpec], plugins: Plugins, arguments: argparse.Namespace) -> None:
    """Print what several runs would do, each under its heading; run nothing."""
    found = []
    for heading, spec in runs.items():
        resolved, whole = collected(spec, plugins, arguments.expression)
        plan = part_of(whole, read_part(arguments.shard)) if arguments.shard else whole
        tokens = estimated_tokens(resolved, plan)
        found.append({"cells": [cell.id for cell in plan.cells], "forward_tokens": tokens})
        if not arguments.json:
            if heading:
                say(f"\n{heading}")
            _print_tree(plan, arguments)
            part = f"part {arguments.shard} of {len(whole.cells)} cells: " if arguments.shard else ""
            say(f"{part}{_size(plan)}, at most {tokens:,} forward tokens")
    if arguments.json:
        several = [{"run": heading, **each} for heading, each in zip(runs, found, strict=True)]
        say_json(several if all(runs) else found[0])


def _print_tree(plan: Plan, arguments: argparse.Namespace) -> None:
    for edition, cells in plan.by_edition().items():
        if arguments.quiet == 0 and (edition is None or edition.control is None or arguments.verbose):
            say(f"{edition.id if edition else 'baseline'}")
            by_task: dict[str, list[str]] = {}
            for cell in cells:
                by_task.setdefault(cell.task, []).append(cell.language)
            for task, languages in by_task.items():
                say(f"  {task}[{','.join(languages)}]")


def _size(plan: Plan) -> str:
    controls = sum(cell.edition is not None and cell.edition.control is not None for cell in plan.cells)
    return f"{len(plan.cells)} cells ({controls} controls, drawn as far as needed)"
