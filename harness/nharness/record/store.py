"""Files beside a record: names that cannot leave its folder, and their digests."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from nharness.errors import FileFormatError
from nharness.record.sources import FileEntry

RECORD_NAME = "record.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*\Z")


def inside(folder: Path, name: str) -> Path:
    """Return the path of a file beside a record.

    Raises `FileFormatError` for a name that is absolute, has '..', an empty or hidden part, a backslash, or is or leads
    through a symbolic link.
    """
    if len(name) > 200 or not _NAME.match(name):
        raise FileFormatError(f"file name {name[:80]!r} is not a plain relative path of letters, digits and . _ - /")
    root = folder.resolve()
    path = root / name
    if os.path.realpath(path) != str(path):
        raise FileFormatError(f"file name {name!r} is a link or passes through one; only plain files are read")
    return path


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hexadecimal; raises `FileFormatError` when it cannot be read."""
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror or error})") from error


def describe(folder: Path, path: Path, role: Literal["items", "ladder", "neurons"]) -> FileEntry:
    """Return the entry of a file that lies inside `folder`; raises `FileFormatError` when it does not."""
    if not path.resolve().is_relative_to(folder.resolve()):
        raise FileFormatError(f"{path} does not lie beside the record in {folder}")
    name = path.resolve().relative_to(folder.resolve()).as_posix()
    inside(folder, name)
    return FileEntry(role=role, name=name, sha256=sha256_of(path), bytes=path.stat().st_size)


def find(files: Sequence[FileEntry], role: str) -> FileEntry | None:
    """Return the first file of a role, or None."""
    return next((entry for entry in files if entry.role == role), None)
