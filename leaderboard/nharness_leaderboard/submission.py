"""Putting records into the results folder: validated, copied with the files they list and nothing else."""

from __future__ import annotations

from pathlib import Path

from nharness import atomic
from nharness.errors import FileFormatError, OutputError
from nharness.record.model import Record
from nharness.record.reading import copy_plain, size_of
from nharness.record.reproduction import REPRODUCTION_NAME
from nharness.record.store import RECORD_NAME, inside
from nharness.record.validate import load_record
from nharness_leaderboard.limits import MAX_FILE, MAX_FOLDER, MAX_RECORD
from nharness_leaderboard.reproduction import earned, read_reproduction
from nharness_leaderboard.results import place


def add(path: Path, results: Path) -> Path:
    """Copy a record and its files into the results folder; return the new folder.

    path: the record file or its folder. The badge is 'reproduced' if a reproduction beside the record earned it, else
    'self-reported'; it is not part of the content key. Raises `FileFormatError` for an invalid or too large record,
    `OutputError` for one that is there already or cannot be written.
    """
    source = path / RECORD_NAME if path.is_dir() else path
    record = load_record(source, files=True)
    _check_size(source, record)
    folder = results / place(record)
    if folder.exists():
        raise OutputError(f"{folder} exists: the same measurement is already published")
    reproduction = read_reproduction(source.parent)
    badge = "reproduced" if earned(record, reproduction) else "self-reported"
    kept = record.model_copy(update={"identity": record.identity.model_copy(update={"badge": badge})})
    for entry in record.files:
        copy_plain(inside(source.parent, entry.name), inside(folder, entry.name), max_bytes=MAX_FILE)
    if reproduction is not None and badge == "reproduced":
        atomic.write_json(folder / REPRODUCTION_NAME, reproduction.document())
    atomic.write_json(folder / RECORD_NAME, kept.document())
    return folder


def _check_size(source: Path, record: Record) -> None:
    size = size_of(source, max_bytes=MAX_RECORD)
    for entry in record.files:
        if entry.bytes > MAX_FILE:
            raise FileFormatError(
                f"file {entry.name!r} has {entry.bytes} bytes; a published file has at most {MAX_FILE}"
            )
    total = size + sum(entry.bytes for entry in record.files)
    if total > MAX_FOLDER:
        raise FileFormatError(f"{source.parent} has {total} bytes in all; at most {MAX_FOLDER} are published")
