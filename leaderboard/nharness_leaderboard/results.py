"""The results folder: a folder per record, `<model>/<detector>/<first 12 digits of its id>/`, with its files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nharness.errors import FileFormatError
from nharness.record.model import Record
from nharness.record.problems import Problem
from nharness.record.store import RECORD_NAME
from nharness.record.validate import validate_file
from nharness_leaderboard.limits import MAX_FILE

_SLUG = re.compile(r"[^a-z0-9]+")
_NO_FILE_NAME = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}
)
"""What Windows takes for a device, whatever folder it is in."""


@dataclass(frozen=True)
class Entry:
    """One valid record and the folder it lies in."""

    folder: Path
    record: Record

    @property
    def slug(self) -> str:
        """The record's short name: the first 12 digits of its id."""
        return self.record.identity.id[:12]


@dataclass(frozen=True)
class Results:
    """What a results folder holds: valid records in the order of their paths, and the problems of all others."""

    folder: Path
    entries: tuple[Entry, ...]
    problems: dict[Path, list[Problem]] = field(default_factory=dict)


def slug(text: str) -> str:
    """Return a file name for any text: a-z, 0-9 and '-', with a digest added if that loses anything.

    So it is where Windows has no file of that name.
    """
    plain = _SLUG.sub("-", text.lower()).strip("-")[:60]
    if plain and plain == text and plain not in _NO_FILE_NAME:
        return plain
    return f"{plain or 'x'}-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:6]}"


def place(record: Record) -> Path:
    """Return where a record belongs, relative to the results folder."""
    return Path(slug(record.model.name)) / slug(record.detector.name) / record.identity.id[:12]


def read_results(folder: Path, *, schema: bool = False, files: bool = False) -> Results:
    """Return the records under a folder; see `validate_file` for what `schema` and `files` add.

    Raises `FileFormatError` when there is no such folder.
    """
    if not folder.is_dir():
        raise FileFormatError(f"{folder} is not a folder; expected one with records, as leaderboard/results")
    entries: list[Entry] = []
    problems: dict[Path, list[Problem]] = {}
    for path in sorted(folder.rglob(RECORD_NAME)):
        record, found = validate_file(path, schema=schema, files=files)
        if record is not None and files:
            found = [*found, *_too_large(record)]
        if record is not None and not found:
            entries.append(Entry(path.parent, record))
        else:
            problems[path] = found
    return Results(folder, tuple(_unique(entries, problems)), problems)


def _too_large(record: Record) -> Iterator[Problem]:
    """Yield files that are not read, as large as the record says they are."""
    for index, entry in enumerate(record.files):
        if entry.bytes > MAX_FILE:
            message = f"{entry.name[:80]!r} has {entry.bytes} bytes; at most {MAX_FILE} are published"
            yield Problem(f"/files/{index}", message)


def _unique(entries: Sequence[Entry], problems: dict[Path, list[Problem]]) -> list[Entry]:
    """Return entries with distinct short names; a second one of a name becomes a problem."""
    kept: dict[str, Entry] = {}
    for entry in entries:
        first = kept.setdefault(entry.slug, entry)
        if first is not entry:
            message = f"the same record as {first.folder.name} under {first.folder.parent.name}"
            problems[entry.folder / RECORD_NAME] = [Problem("/identity/id", message)]
    return list(kept.values())
