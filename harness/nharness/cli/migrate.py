"""Bring records of older formats up to the newest: written beside the old file, or in its place with --in-place.

In place, a folder that is named after the record's id, as in a results folder, is renamed after the new one.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nharness.cli.found import all_records
from nharness.cli.output import say
from nharness.errors import FileFormatError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the files."""
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="record files, or folders of records or runs"
    )
    parser.add_argument(
        "--in-place", action="store_true", help="replace the file instead of writing NAME.migrated.json"
    )


def execute(arguments: argparse.Namespace) -> int:
    """Migrate every file; raises `FileFormatError` for one that cannot be read or brought up."""
    from nharness import atomic
    from nharness.record.loading import MAX_BYTES, parse
    from nharness.record.migrate import migrate
    from nharness.record.reading import read_plain

    for path in all_records(arguments.files):
        document, problems = parse(read_plain(path, max_bytes=MAX_BYTES))
        if problems or not isinstance(document, dict):
            raise FileFormatError(f"{path}: {problems[0].message if problems else 'no JSON object'}")
        newest = migrate(document)
        if newest == document:
            say(f"{path}: already the newest format")
            continue
        target = path if arguments.in_place else path.with_suffix(".migrated.json")
        atomic.write_json(target, newest)
        say(f"{path}: written to {_renamed(target, document, newest) if arguments.in_place else target}")
    return 0


def _renamed(path: Path, before: dict[str, Any], after: dict[str, Any]) -> Path:
    """Name the record's folder after its new id where it was named after the old one; return where the record lies."""
    from nharness.errors import OutputError

    old, new = (str(document.get("identity", {}).get("id"))[:12] for document in (before, after))
    folder = path.resolve().parent
    if folder.name != old or folder.with_name(new).exists():
        return path
    try:
        return folder.rename(folder.with_name(new)) / path.name
    except OSError as error:
        raise OutputError(f"{folder} cannot be renamed to {new}: {error.strerror or error}") from error
