"""Record statistics of a model on text, for `nharness detect`; no edit, no evaluation.

Without --detector and --statistics these are activation counts and moments at the gate.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nharness.atomic import require_place
from nharness.cli import options, settings
from nharness.cli.output import say, say_json
from nharness.cli.plugin_options import add_plugin_options, load_plugins
from nharness.errors import UnknownNameError, UsageError
from nharness.statistics import CATALOGUE

if TYPE_CHECKING:
    from nharness.detector import Evidence, Need
    from nharness.plugins import Plugins
    from nharness.run.context import RunContext
    from nharness.spec import Named


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to record (for which detectors, or by name) and where to write it."""
    options.add_options(parser, ("model", "text"), without=("--record-dtype",))
    options.add_some(parser, "what to record", ("--detector", "--option"))
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
    parser.add_argument(
        "--parts",
        type=options.whole(2),
        metavar="N",
        help="N files of disjoint text, sources kept whole, for intervals (nharness analyze PART... --detector NAME)",
    )
    parser.add_argument(
        "--document-ids", action="store_true", help="name every document in the file, for nharness analyze"
    )
    parser.add_argument(
        "--store", type=Path, metavar="DIR", help="store of products, from which an interrupted pass continues"
    )
    parser.add_argument("-q", dest="quiet", action="count", default=0, help="less")
    parser.add_argument("--json", action="store_true", help="files and totals as JSON")
    add_plugin_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Record and write one statistics file per site."""
    require_place("--out", arguments.out, folder=False)
    if arguments.store is not None:
        require_place("--store", arguments.store, folder=True)
    given = {**settings.configured(Path.cwd())[0], **options.given(arguments)}
    spec = settings.build_spec(given)
    plugins = load_plugins(arguments)
    from nharness.cli.display import PlainDisplay
    from nharness.run.context import RunContext
    from nharness.run.line import as_recording, load_worker
    from nharness.run.plan.plan import Plan
    from nharness.run.plan.resolve import resolve
    from nharness.run.stages.answer import answer
    from nharness.run.store import Store
    from nharness.run.work.executor import LocalExecutor

    needs = _needs(spec.detectors if "detector" in given else (), arguments.statistics, plugins)
    with closing(PlainDisplay(verbosity=-arguments.quiet)) as display, tempfile.TemporaryDirectory() as scratch:
        store = Store(arguments.store or Path(scratch))
        resolved = resolve(spec, plugins)
        resolved = as_recording(resolved) or resolved
        executor = LocalExecutor(load_worker(resolved, display))
        context = RunContext(resolved, Plan.empty(), executor, store, display)
        evidence = _recorded(context.reading(answer(context)), needs, arguments)
    files = {}
    for part, each in evidence.items():
        for site, table in each.sites.items():
            ends = (part, site if len(each.sites) > 1 else "")
            path = arguments.out.with_suffix("".join(f".{end}" for end in ends if end) + arguments.out.suffix)
            table.save(path)
            files[" ".join(end for end in (part, site) if end)] = str(path)
    if arguments.json:
        say_json({"files": files, "tokens": _tokens(evidence)})
    else:
        say("\n".join(f"written: {path}" for path in files.values()))
    return 0


def _recorded(context: RunContext, needs: Sequence[Need], arguments: argparse.Namespace) -> dict[str, Evidence]:
    """Return what was recorded: all of it under "", or each part under its name."""
    from nharness.detector import Evidence
    from nharness.run.stages.record import record
    from nharness.run.stages.repeats import record_blocks

    if arguments.parts:
        if arguments.document_ids:
            raise UsageError("--document-ids names the documents of one file; leave out --parts")
        blocks = record_blocks(context, needs, arguments.parts)
        return {
            f"part{number + 1:03d}": blocks.evidence(chosen)
            for number, chosen in enumerate(blocks.folds(arguments.parts))
        }
    recorded = record(context, needs)
    if not arguments.document_ids:
        return {"": recorded.evidence}
    ids = {tag: list(names) for tag, names in recorded.documents.items()}
    named = {
        site: replace(table, provenance={**table.provenance, "documents": ids})
        for site, table in recorded.evidence.sites.items()
    }
    return {"": Evidence(named)}


def _tokens(evidence: Mapping[str, Evidence]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for each in evidence.values():
        for tag, found in each.any.totals.items():
            totals[tag] = totals.get(tag, 0) + found.tokens
    return totals


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
        _require_registered(name, plugins)
        needs.append(Need(name, site or "gate"))
    return list(dict.fromkeys(needs)) or [Need("activation_count", "gate"), Need("moments", "gate")]


def _require_registered(statistic: str, plugins: Plugins) -> None:
    """Raise `UsageError` for a statistic that nobody registered, before a model is loaded for it."""
    module, colon, _ = statistic.partition(":")
    if colon:
        raise UsageError(
            f"{statistic!r} is no name of a statistic; load the plug-in that registers it with -p {module}, "
            "and give its name"
        )
    known = (*CATALOGUE, *plugins.entries("statistics"))
    if statistic not in known:
        raise UnknownNameError("statistic", statistic, known)
