"""Check records: text, schema, what must agree inside, the files beside them; --deep recomputes every number.

Exit codes: 0 all valid, 1 a record has problems, 4 there is no such file.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from nharness.cli.found import record_files
from nharness.cli.output import say, say_commands
from nharness.errors import UsageError
from nharness.record.origin import origin, origin_text
from nharness.record.problems import Problem
from nharness.record.validate import validate_file

STYLES = ("text", "json", "github")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the files and how to report."""
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="record file, or folder of a record, run or study"
    )
    parser.add_argument("--format", choices=STYLES, default="text", help="how to report (default: text)")
    parser.add_argument("--deep", action="store_true", help="recompute every number from items and neurons")
    parser.add_argument("--no-files", action="store_true", help="ignore the files beside the record")


def execute(arguments: argparse.Namespace) -> int:
    """Report every problem of every file; 0, 1 or 4 as the module says."""
    paths = [file for path in arguments.files for file in (record_files(path) if path.is_dir() else [path])]
    found: dict[str, Sequence[Problem]] = {}
    notes: dict[str, str] = {}
    unreadable = False
    for path in paths:
        if not os.path.lexists(path):
            found[str(path)], unreadable = [Problem("", "there is no such file")], True
            continue
        record, problems = validate_file(path, files=not arguments.no_files)
        if arguments.deep and record is not None and not problems:
            from nharness_leaderboard.deep import deep_problems

            problems = deep_problems(record, path.parent)
        found[str(path)] = problems
        if record is not None and origin(record) == "modified":
            notes[str(path)] = f"modified: made by {origin_text(record)}"
    (say_commands if arguments.format == "github" else say)(render(found, arguments.format, notes))
    return UsageError.exit_code if unreadable else int(any(found.values()))


def render(found: Mapping[str, Sequence[Problem]], style: str, notes: Mapping[str, str] | None = None) -> str:
    """Return the report: text for people, one JSON document, or GitHub workflow annotations.

    notes: by file, what a reader should know of a record that is no problem of it.
    """
    notes = notes or {}
    if style == "json":
        documents = [
            {
                "file": name,
                "valid": not problems,
                "problems": [asdict(each) for each in problems],
                "note": notes.get(name),
            }
            for name, problems in found.items()
        ]
        return json.dumps(documents, indent=1, ensure_ascii=True)
    if style == "github":
        lines = [_annotation(name, problem) for name, problems in found.items() for problem in problems]
        return "\n".join([*lines, _total(found)])
    lines = []
    for name, problems in found.items():
        lines.append(f"{name}: {'valid' if not problems else f'{len(problems)} problem(s)'}")
        lines += [f"  {problem}" for problem in problems]
        lines += [f"  {notes[name]}"] if name in notes else []
    return "\n".join([*lines, _total(found)])


def _total(found: Mapping[str, Sequence[Problem]]) -> str:
    bad = sum(bool(problems) for problems in found.values())
    return f"{len(found) - bad} valid, {bad} not"


def _annotation(name: str, problem: Problem) -> str:
    return f"::error file={_escape(name, more=',:')},title=record::{_escape(str(problem))}"


def _escape(text: str, *, more: str = "") -> str:
    for character in f"%\r\n{more}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text
