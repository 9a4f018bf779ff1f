"""Check that a detector keeps its contract, on evidence made for the purpose: what passed, what failed and why."""

from __future__ import annotations

import argparse

from nharness.cli.output import print_table, say_json
from nharness.cli.plugin_options import add_plugin_options, load_plugins


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is checked."""
    parser.add_argument("name", help="registered detector, or module:attribute")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    add_plugin_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Print the sheet; 0 when everything passed, else 1."""
    from nharness.run.plan.resolve import load_detector
    from nharness.spec import Named
    from nharness.testing.conformance import check_detector

    plugins = load_plugins(arguments)
    load_detector(Named(name=arguments.name), plugins)  # one that cannot be loaded is a usage error, not a finding
    sheet = check_detector(lambda: load_detector(Named(name=arguments.name), plugins))
    rows = [
        {"check": point.name, "result": "FAILED" if point.problem else "passed", "why": point.problem}
        for point in sheet
    ]
    if arguments.json:
        say_json(rows)
    else:
        print_table(rows)
    return int(any(point.problem for point in sheet))
