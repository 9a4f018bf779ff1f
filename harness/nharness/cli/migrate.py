"""Bring records of older formats up to the newest: written beside the old file, or in its place with --in-place.

With --recompute, every number that follows from the items, ladders and neurons beside a record is written as this
version computes it, the section `structure` too where there was none; the points of a dose-response are those of the
other records named with it.
In place, a folder that is named after the record's id, as in a results folder, is renamed after the new one.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nharness.cli.found import all_records
from nharness.cli.output import say
from nharness.errors import FileFormatError

if TYPE_CHECKING:
    from nharness.analysis.measurements import Measurement
    from nharness.record.model import Record


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the files."""
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="record files, or folders of records or runs"
    )
    parser.add_argument(
        "--in-place", action="store_true", help="replace the file instead of writing NAME.migrated.json"
    )
    parser.add_argument("--recompute", action="store_true", help="recompute its numbers from items and neurons")


def execute(arguments: argparse.Namespace) -> int:
    """Migrate every file; raises `FileFormatError` for one that cannot be read or brought up."""
    from nharness.atomic import write_json

    paths = all_records(arguments.files)
    before = {path: _read(path) for path in paths}
    after = _migrated(before, recompute=arguments.recompute)
    for path, newest in after.items():
        if newest == before[path]:
            say(f"{path}: already in the newest format")
            continue
        target = path if arguments.in_place else path.with_suffix(".migrated.json")
        write_json(target, newest)
        say(f"{path}: written to {_renamed(target, before[path], newest) if arguments.in_place else target}")
    return 0


def _read(path: Path) -> dict[str, Any]:
    from nharness.record.loading import MAX_BYTES, parse
    from nharness.record.reading import read_plain

    document, problems = parse(read_plain(path, max_bytes=MAX_BYTES))
    if problems or not isinstance(document, dict):
        raise FileFormatError(f"{path}: {problems[0].message if problems else 'no JSON object'}")
    return document


def _migrated(documents: Mapping[Path, dict[str, Any]], *, recompute: bool) -> dict[Path, dict[str, Any]]:
    """Return every document in the newest format; recomputed, points of curves are those of the records given."""
    from nharness.record.migrate import migrate

    newest = {path: migrate(document) for path, document in documents.items()}
    if not recompute:
        return newest
    from nharness_leaderboard.curves import with_points

    records = {path: _recomputed(document, path) for path, document in newest.items()}
    return {path: with_points(record, records.values()).document() for path, record in records.items()}


def _recomputed(document: dict[str, Any], path: Path) -> Record:
    """Return the record with its numbers recomputed; raises `FileFormatError` without an items file."""
    from nharness.analysis.analyse import recomputed
    from nharness.analysis.measurements import from_items
    from nharness.analysis.structure.section import with_structure
    from nharness.neurons import load as load_neurons
    from nharness.record.cautions import with_cautions
    from nharness.record.items import read_items
    from nharness.record.model import Record
    from nharness.record.store import find, inside

    record = Record.model_validate(document)
    items = find(record.files, "items")
    if items is None:
        raise FileFormatError(f"{path} lists no items file, so its numbers cannot be recomputed")
    measured = list(from_items(read_items(inside(path.parent, items.name))))
    found = _with_headline(recomputed(record, measured), measured, path)
    neurons = find(record.files, "neurons")
    if neurons is not None:
        found = with_structure(found, load_neurons(inside(path.parent, neurons.name)))
    return with_cautions(found)


def _with_headline(record: Record, measured: Sequence[Measurement], path: Path) -> Record:
    """Return the record with its headline recomputed; itself where it has none."""
    from nharness.analysis.ladder_items import headline_again
    from nharness.analysis.measurements import from_items
    from nharness.record.items import read_items
    from nharness.record.store import find, inside

    entry, headline = find(record.files, "ladder"), record.headline
    if entry is None or headline is None:
        return record
    task = next(task for task in record.tasks if task.name == headline.task)
    rungs = from_items(read_items(inside(path.parent, entry.name)))
    intact = [each for each in measured if each.key[1] is None]
    again = headline_again(record, headline, task, [*intact, *rungs])
    return record.model_copy(update={"headline": again}).with_id()


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
