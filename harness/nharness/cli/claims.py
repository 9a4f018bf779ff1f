"""Hold claims against records that exist: exit code 0 when none fails, 1 when one does.

A claim is a statement such as 'selectivity > 0.01', or the name of a registered one (`nharness list claims`).
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from nharness.cli.found import all_records
from nharness.cli.output import say, say_json
from nharness.cli.plugin_options import add_plugin_options, load_plugins


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the records and the claims."""
    parser.add_argument("records", nargs="+", type=Path, metavar="RECORD", help="record files or folders of records")
    parser.add_argument("--claim", action="append", required=True, metavar="TEXT", help="a statement or a name")
    parser.add_argument("--strict-claims", action="store_true", help="exit with 1 for an undecided claim too")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    add_plugin_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Print every verdict; raises `UsageError` for a claim that no record is about."""
    from nharness.claims import check_claims
    from nharness.record.validate import load_record
    from nharness.spec import Claim

    plugins = load_plugins(arguments)
    records = [load_record(path) for path in all_records(arguments.records)]
    results = check_claims([Claim(statement=text) for text in arguments.claim], records, plugins.makers("claims"))
    if arguments.json:
        say_json([asdict(result) for result in results])
    else:
        for result in results:
            say(result.line)
    bad = {"fails", "undecided"} if arguments.strict_claims else {"fails"}
    return int(any(result.verdict in bad for result in results))
