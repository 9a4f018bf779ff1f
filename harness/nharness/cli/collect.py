"""`nharness run --collect-only`: the tree of cells, their number and their cost."""

from __future__ import annotations

import argparse
import json

from nharness.plugins import Plugins
from nharness.run.collection import collected, estimated_tokens
from nharness.run.shards import part_of, read_part
from nharness.spec import RunSpec


def collect(spec: RunSpec, plugins: Plugins, arguments: argparse.Namespace) -> int:
    """Print what a run would do; run nothing."""
    resolved, plan = collected(spec, plugins, arguments.expression)
    plan = part_of(plan, read_part(arguments.shard)) if arguments.shard else plan
    tokens = estimated_tokens(resolved.spec, plan)
    if arguments.json:
        print(json.dumps({"cells": [cell.id for cell in plan.cells], "forward_tokens": tokens}, indent=1))
        return 0
    for edition, cells in plan.by_edition().items():
        if arguments.quiet == 0 and (edition is None or edition.control is None or arguments.verbose):
            print(f"{edition.id if edition else 'baseline'}")
            by_task: dict[str, list[str]] = {}
            for cell in cells:
                by_task.setdefault(cell.task, []).append(cell.language)
            for task, languages in by_task.items():
                print(f"  {task}[{','.join(languages)}]")
    controls = sum(cell.edition is not None and cell.edition.control is not None for cell in plan.cells)
    print(f"{len(plan.cells)} cells ({controls} controls, drawn as far as needed), at most {tokens:,} forward tokens")
    return 0
