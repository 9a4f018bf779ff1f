"""Find neurons in a statistics file, this project's or anyone's in the format; needs no model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nharness.cli.options import pairs
from nharness.cli.output import print_table, say, say_json, told_warnings
from nharness.cli.plugin_options import add_plugin_options, load_plugins
from nharness.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add detector, statistics, options and output."""
    parser.add_argument("detector", help="registered name or module:attribute")
    parser.add_argument(
        "--statistics",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE",
        help="statistics files, one per site (parts of one site: see nharness merge)",
    )
    parser.add_argument("--option", action="append", default=[], metavar="K=V", help="detector option")
    parser.add_argument("--budget", type=float, metavar="SHARE", help="cut to this share of all neurons per language")
    parser.add_argument("--reference", type=Path, metavar="FILE", help="neurons file that `random` is matched to")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="neurons file to write")
    parser.add_argument("--json", action="store_true", help="print counts as JSON")
    add_plugin_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Detect, write the neurons file, print the count per language."""
    from nharness.corpora.separated import first_repeated
    from nharness.detector import Evidence
    from nharness.neurons import load as read_neurons
    from nharness.run.plan.resolve import load_detector
    from nharness.spec import Named
    from nharness.statistics import load as read_statistics

    options = {key: value for text in arguments.option for key, value in pairs(text).items()}
    detector = load_detector(Named(name=arguments.detector, options=options), load_plugins(arguments))
    reference = read_neurons(arguments.reference) if arguments.reference else None
    twice = first_repeated(map(str, arguments.statistics))
    if twice is not None:
        raise UsageError(f"{twice} is given twice; expected one file for each site")
    with told_warnings():
        tables = {str(path): read_statistics(path) for path in arguments.statistics}
        detection = detector(Evidence.together(tables, reference=reference))
    if arguments.budget is not None:
        detection = detection.cut(arguments.budget)
    detection.save(arguments.out)
    rows: list[dict[str, Any]] = [{"language": tag, "neurons": len(detection.flat(tag))} for tag in detection.languages]
    short = {tag: {"asked": asked, "got": got} for tag, (asked, got) in detection.short.items()}
    if short:
        rows = [{**row, "asked": short.get(row["language"], {}).get("asked")} for row in rows]
    if arguments.json:
        counts = {row["language"]: row["neurons"] for row in rows}
        say_json({"file": str(arguments.out), "neurons": counts, "short": short})
    else:
        print_table(rows)
        say(f"written: {arguments.out}")
    return 0
