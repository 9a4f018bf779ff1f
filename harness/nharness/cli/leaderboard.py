"""Publish records: build the site, add a record, check a results folder before it is merged.

`build --results DIR --out DIR` makes the static site, which opens from the disk.
`add RECORD... --results DIR` copies valid records and their files into the folder.
`reproduce RECORD...` makes records again from themselves alone, in a fresh store, and compares every item within the
record's noise floor; what came of it is written beside the record and alone earns the badge `reproduced`.
`table --results DIR [--write README.md]` prints the board as Markdown, or puts it between the marks of a file.
`verdicts --results DIR [--write README.md]` does the same with what the records of studies say of papers' findings.
`check --results DIR [--base REF]` says every reason not to publish; exit code 1 when there is one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from nharness.atomic import require_place
from nharness.cli.found import all_records
from nharness.cli.output import say
from nharness.errors import UsageError

ACTIONS = ("build", "add", "check", "reproduce", "table", "verdicts")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the action, the folders and the records."""
    parser.add_argument("action", choices=ACTIONS, help="action to take")
    parser.add_argument(
        "records", nargs="*", type=Path, metavar="RECORD", help="record files, or folders of records or runs"
    )
    parser.add_argument(
        "--results", type=Path, default=Path("leaderboard/results"), metavar="DIR", help="published records"
    )
    parser.add_argument("--out", type=Path, default=Path("site"), metavar="DIR", help="build: where the site goes")
    parser.add_argument("--base", metavar="REF", help="check: recompute only what differs from this git revision")
    parser.add_argument(
        "--comment", type=Path, metavar="FILE", help="check: also write the comment for a reviewer here"
    )
    parser.add_argument(
        "--reproduced", action="store_true", help="check: a maintainer reproduced them; accept that badge"
    )
    parser.add_argument("--model", metavar="NAME", help="reproduce: where the record's model is, if not under its name")
    parser.add_argument("--corpus", metavar="NAME", help="reproduce: where the record's corpus is, likewise")
    parser.add_argument("--write", type=Path, metavar="FILE", help="table, verdicts: the Markdown file that holds it")
    parser.add_argument("--title", default="Language neurons leaderboard", help="build: title of the site")


def execute(arguments: argparse.Namespace) -> int:
    """Run the action and return its exit code."""
    if arguments.records and arguments.action not in {"add", "reproduce"}:
        raise UsageError(f"leaderboard {arguments.action} takes no records; got {str(arguments.records[0])!r}")
    actions = {
        "build": _build,
        "add": _add,
        "check": _check,
        "reproduce": _reproduce,
        "table": _table,
        "verdicts": _verdicts,
    }
    return actions[arguments.action](arguments)


def _build(arguments: argparse.Namespace) -> int:
    from nharness.record.problems import shown
    from nharness_leaderboard.site.build import build_site

    built = build_site(arguments.results, arguments.out, title=arguments.title)
    for path, problems in built.refused.items():
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        say(f"refused {shown(str(path), limit=300)[1:-1]}: {problems[0]}{more}")
    say(f"{built.pages} pages from {built.records} records in {built.seconds:.1f} s: {arguments.out / 'index.html'}")
    return int(bool(built.refused))


def _add(arguments: argparse.Namespace) -> int:
    from nharness_leaderboard.submission import add

    if not arguments.records:
        raise UsageError("leaderboard add needs records: their files, or folders of records or runs")
    require_place("--results", arguments.results, folder=True)
    for path in all_records(arguments.records):
        say(f"added {add(path, arguments.results)}")
    return 0


def _reproduce(arguments: argparse.Namespace) -> int:
    from nharness.cli.reproduce import reproduce

    if not arguments.records:
        raise UsageError("leaderboard reproduce needs records: their files, or folders of records or runs")
    verdicts = [
        reproduce(path, model=arguments.model, corpus=arguments.corpus) for path in all_records(arguments.records)
    ]
    return int(not all(verdict == "reproduced" for verdict in verdicts))


def _table(arguments: argparse.Namespace) -> int:
    from nharness_leaderboard.table import board_table, write_table

    if arguments.write is None:
        say(board_table(arguments.results), end="")
    else:
        write_table(arguments.results, arguments.write)
    return 0


def _verdicts(arguments: argparse.Namespace) -> int:
    from nharness_leaderboard.verdicts import verdict_table, verdicts_of, write_verdicts

    if arguments.write is None:
        say(verdict_table(verdicts_of(arguments.results)), end="")
    else:
        write_verdicts(arguments.results, arguments.write)
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from nharness_leaderboard.comment import comment
    from nharness_leaderboard.gate import check

    verdict = check(arguments.results, base=arguments.base, reproduced=arguments.reproduced)
    text = comment(verdict)
    if arguments.comment is not None:
        from nharness.atomic import write_bytes

        write_bytes(arguments.comment, text.encode())
    say(text, end="")
    return int(not verdict.passed)
