"""Detect, deactivate, evaluate, compare, record: the main job.

With no other argument than --detector it runs on the embedded model and sample text, offline.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nharness.cli import options, settings
from nharness.cli.plugin_options import add_plugin_options, load_plugins
from nharness.cli.preflight import require_executor, require_places
from nharness.errors import UsageError
from nharness.spec import RunSpec

STRICT = "strict-claims"
"""The one option of a specification that goes with a study, since it changes nothing but the exit code."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a specification, of selection, and of the run itself."""
    options.add_options(parser)
    options.add_study(parser)
    add_run_options(parser)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of selection, of where a run is, of what it shows, and of plug-ins."""
    chosen = parser.add_argument_group("selection")
    chosen.add_argument(
        "-k", dest="expression", default="", metavar="EXPR", help="only cells whose id matches, as in pytest"
    )
    chosen.add_argument("--collect-only", action="store_true", help="show cells and their cost, run nothing")
    chosen.add_argument(
        "-x", dest="maxfail", action="store_const", const=1, default=0, help="stop at the first failed cell"
    )
    chosen.add_argument("--maxfail", type=options.whole(), default=0, metavar="N", help="stop after N failed cells")
    chosen.add_argument("--shard", metavar="I/N", help="only part I of N, without records; nharness collect joins them")
    chosen.add_argument("--lf", dest="last_failed", action="store_true", help="only cells that failed last time")
    where = parser.add_argument_group("where")
    where.add_argument(
        "--out", type=Path, metavar="DIR", help="run folder (default nharness-runs/DETECTOR-MODEL-DIGEST)"
    )
    where.add_argument(
        "--store", type=Path, metavar="DIR", help="store of products, which runs may share (default OUT/store)"
    )
    where.add_argument("--resume", action="store_true", help="continue the run in --out as it was specified")
    where.add_argument("--executor", default="local", metavar="NAME", help="where model work runs (default local)")
    where.add_argument("--workers", type=options.whole(1), default=1, metavar="N", help="workers of the executor")
    where.add_argument(
        "--executor-args",
        type=options.pairs,
        default={},
        metavar="K=V,...",
        help="options of the executor; ray: address, cpus, gpus",
    )
    where.add_argument("--ray-address", metavar="ADDRESS", help="for ray: a running cluster; auto finds one")
    shown = parser.add_argument_group("output")
    shown.add_argument("-q", dest="quiet", action="count", default=0, help="less")
    shown.add_argument("-v", dest="verbose", action="count", default=0, help="one line per cell")
    shown.add_argument(
        "--json", action="store_true", help="the records' paths and summaries as JSON on standard output"
    )
    shown.add_argument("--log-json", type=Path, metavar="FILE", help="every event as a line of JSON")
    shown.add_argument("--durations", type=options.whole(), metavar="N", help="show the N slowest cells, 0 for all")
    shown.add_argument("--show-config", action="store_true", help="show where each setting comes from, run nothing")
    add_plugin_options(parser)


def execute(arguments: argparse.Namespace, *, aside: Sequence[str] = ()) -> int:
    """Run and return the exit code; aside: flags whose settings in a configuration file do not count."""
    from_file, source = settings.configured(Path.cwd())
    from_file = {name: value for name, value in from_file.items() if f"--{name}" not in aside}
    from_line = options.given(arguments)
    for given_by in ("--study" if arguments.study else "", "--resume" if arguments.resume else ""):
        stray = [name for name in from_line if name != STRICT or not arguments.study]
        if given_by and (stray or arguments.show_config):
            raise UsageError(f"{given_by} specifies the whole run; leave out --{next(iter(stray), 'show-config')}")
    if arguments.show_config:
        _show_config(from_file, source, from_line)
        return 0
    require_places(arguments)
    plugins = load_plugins(arguments)
    if arguments.study is not None:
        from nharness.cli.study import run_study

        return run_study(arguments.study, plugins, arguments, strict=STRICT in from_line)
    spec = _resumed(arguments) if arguments.resume else settings.build_spec({**from_file, **from_line})
    if arguments.collect_only:
        from nharness.cli.cells_shown import show_cells

        return show_cells(spec, plugins, arguments)
    from nharness.run.plan.parts import read_part
    from nharness.run.plan.resolve import resolve

    resolve(spec, plugins)  # a slip in a name is answered before a tensor library is imported
    if arguments.shard:
        read_part(arguments.shard)
    require_executor(plugins, arguments)
    from nharness.cli.session import run_and_report

    return run_and_report(spec, plugins, arguments)


def _resumed(arguments: argparse.Namespace) -> RunSpec:
    if arguments.out is None:
        raise UsageError("--resume needs --out, the folder of the run to continue")
    path = arguments.out / "run.json"
    if not path.is_file():
        raise UsageError(f"{arguments.out} holds no run to resume (there is no {path.name})")
    from nharness.run.results.folder import read_run

    return settings.checked(read_run(path)["spec"])


def _show_config(from_file: dict[str, Any], source: str, from_line: dict[str, Any]) -> None:
    from nharness.cli.output import print_table

    origins = {**dict.fromkeys(from_file, source), **dict.fromkeys(from_line, "command line")}
    print_table(settings.shown({**from_file, **from_line}, origins))
