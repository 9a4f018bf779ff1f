"""Record statistics of a model on text, for `nharness detect`; no edit, no evaluation.

Without --detector and --statistics these are activation counts and moments at the gate.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nharness.cli import options, settings
from nharness.cli.output import say, say_json
from nharness.cli.plugin_options import add_plugin_options, load_plugins
from nharness.errors import UsageError

if TYPE_CHECKING:
    from nharness.detector import Need
    from nharness.plugins import Plugins
    from nharness.spec import Named


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is recorded (for which detectors, or by name) and where it is written."""
    options.add_options(parser, ("model", "text"))
    options.add_some(parser, "what is recorded", ("--detector", "--option"))
    parser.add_argument(
        "--statistics",
        action="append",
        default=[],
        metavar="NAME[@SITE]",
        help="record these statistics too; SITE is gate (default) or hidden",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="statistics file; with several sites, the site stands before the suffix",
    )
    parser.add_argument("--store", type=Path, metavar="DIR", help="store of products, so that a killed pass goes on")
    parser.add_argument("-q", dest="quiet", action="count", default=0, help="less")
    parser.add_argument("--json", action="store_true", help="files and totals as JSON")
    add_plugin_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Record and write one statistics file per site."""
    given = {**settings.configured(Path.cwd())[0], **options.given(arguments)}
    spec = settings.build_spec(given)
    plugins = load_plugins(arguments)
    from nharness.cli.display import PlainDisplay
    from nharness.run.context import RunContext
    from nharness.run.line import load_worker
    from nharness.run.plan.plan import Plan
    from nharness.run.plan.resolve import resolve
    from nharness.run.stages.answer import answer
    from nharness.run.stages.record import record
    from nharness.run.store import Store
    from nharness.run.work.executor import LocalExecutor

    needs = _needs(spec.detectors if "detector" in given else (), arguments.statistics, plugins)
    with closing(PlainDisplay(verbosity=-arguments.quiet)) as display, tempfile.TemporaryDirectory() as scratch:
        store = Store(arguments.store or Path(scratch))
        resolved = resolve(spec, plugins)
        executor = LocalExecutor(load_worker(resolved, display))
        context = RunContext(resolved, Plan.empty(), executor, store, display)
        recorded = record(context.reading(answer(context)), needs)
    files = {}
    for site, table in recorded.evidence.sites.items():
        path = (
            arguments.out
            if len(recorded.evidence.sites) == 1
            else arguments.out.with_suffix(f".{site}{arguments.out.suffix}")
        )
        table.save(path)
        files[site] = str(path)
    totals: dict[str, Any] = {tag: t.tokens for tag, t in recorded.evidence.any.totals.items()}
    if arguments.json:
        say_json({"files": files, "tokens": totals})
    else:
        say("\n".join(f"written: {path}" for path in files.values()))
    return 0


def _needs(detectors: Sequence[Named], statistics: Sequence[str], plugins: Plugins) -> list[Need]:
    from nharness.detector import Need
    from nharness.run.plan.resolve import load_detector

    needs: list[Need] = []
    for named in detectors:
        needs += load_detector(named, plugins).needs()
    for text in (text for given in statistics for text in options.words(given)):
        name, _, site = text.partition("@")
        if site not in {"", "gate", "hidden"}:
            raise UsageError(f"site {site!r} in --statistics {text!r}; expected gate or hidden")
        needs.append(Need(name, site or "gate"))
    return list(dict.fromkeys(needs)) or [Need("activation_count", "gate"), Need("moments", "gate")]
