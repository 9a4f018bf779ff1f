"""Show the cells of a run or a study, or of one part of it: `nharness plan --detector lape --shard 2/5`.

The parts of a run are what a job array runs: `nharness run ... --shard $SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT
--out part-$SLURM_ARRAY_TASK_ID`, with array indices from 1; `nharness collect part-* --out whole` joins them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from nharness.cli import options, settings
from nharness.cli.plugin_options import add_plugin_options, load_plugins
from nharness.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a specification and of selection."""
    options.add_options(parser)
    options.add_study(parser)
    parser.add_argument("-k", dest="expression", default="", metavar="EXPR", help="only cells whose id matches")
    parser.add_argument("--shard", metavar="I/N", help="only part I of N")
    parser.add_argument("-q", dest="quiet", action="count", default=0, help="print numbers only")
    parser.add_argument("-v", dest="verbose", action="count", default=0, help="show controls too")
    parser.add_argument("--json", action="store_true", help="print cell ids and cost as JSON")
    add_plugin_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Print the plan; run nothing."""
    given = options.given(arguments)
    if arguments.study is not None:
        if given:
            raise UsageError(f"--study specifies the whole run; leave out --{next(iter(given))}")
        from nharness.cli.study import run_study

        return run_study(arguments.study, load_plugins(arguments), options.changed(arguments, collect_only=True))
    spec = settings.build_spec({**settings.configured(Path.cwd())[0], **given})
    from nharness.cli.cells_shown import show_cells

    return show_cells(spec, load_plugins(arguments), arguments)
