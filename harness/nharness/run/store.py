"""The store: every stage's product under a content key, written whole or not at all, verified when read.

A key is the SHA-256 over everything that can change the product. Entries are `<kind>/<k1k2>/<key>.<suffix>`; a JSON
entry carries the SHA-256 of its kind, its key and its payload, so that a torn or altered file, or one under another's
name, is told from a good one and made again; a cell does not wait for the disk.
Two runs may share a store: they write by atomic rename, and equal keys mean equal content.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from nharness.atomic import write_bytes, write_unflushed
from nharness.errors import FileFormatError
from nharness.record.store import sha256_of
from nharness.spec import digest

T = TypeVar("T")
KINDS = ("ablated", "answers", "blocks", "cells", "lens", "recorded", "statistics")
LARGE = 1 << 26
UNREADABLE = (AttributeError, LookupError, TypeError, ValueError)
"""What reading a payload of another shape raises: an entry may be any file."""
WRITING = 3600
"""Seconds for which an unfinished file is taken for one that a run is about to finish."""


@dataclass(frozen=True)
class StoreEntry:
    """One file of the store: its kind, key, size in bytes and when it was written (seconds since the epoch)."""

    kind: str
    key: str
    path: Path
    size: int
    modified: float


class Store:
    """A folder of content-keyed products; see the module for its promises."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, kind: str, key: str, suffix: str = "json") -> Path:
        """Return where an entry lies or will lie."""
        return self.folder / kind / key[:2] / f"{key}.{suffix}"

    def get(self, kind: str, key: str, read: Callable[[Any], T]) -> T | None:
        """Return what `read` makes of a JSON entry's payload; None when the entry is absent.

        One that is torn, altered, another's, or of a shape that `read` cannot take (`UNREADABLE`) is removed and counts
        as absent.
        """
        path = self.path(kind, key)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FileFormatError(f"cannot read {path}: {error.strerror}") from error
        if intact(kind, key, content):
            with suppress(*UNREADABLE):
                return read(json.loads(content.partition(b"\n")[2]))
        path.unlink(missing_ok=True)
        return None

    def put(self, kind: str, key: str, payload: Any) -> None:
        """Store a JSON payload; raises `OutputError` when it cannot be written."""
        body = json.dumps(payload, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()
        write_unflushed(self.path(kind, key), _checksum(kind, key, body) + b"\n" + body)

    def entries(self) -> Iterator[StoreEntry]:
        """Yield every entry, unfinished files left out."""
        return self._files("[!.]*")

    def _files(self, pattern: str) -> Iterator[StoreEntry]:
        for path in sorted(self.folder.glob(f"*/??/{pattern}")):
            try:
                status = path.stat()
            except FileNotFoundError:  # somebody else prunes this store
                continue
            yield StoreEntry(path.parts[-3], path.stem, path, status.st_size, status.st_mtime)

    def prune(self, *, older_than: float, kinds: frozenset[str] = frozenset()) -> tuple[int, int]:
        """Remove entries last written before `older_than` (seconds since the epoch); return their number and bytes.

        What runs that were killed left unfinished is removed too, unless a run may still be writing it. A run that uses
        the store goes on: what it has read it keeps, and what it finds no more it makes again.
        """
        unfinished = [entry for entry in self._files(".*.part") if entry.modified < time.time() - WRITING]
        every = [*self.entries(), *unfinished]
        doomed = [e for e in every if e.modified < older_than and (not kinds or e.kind in kinds)]
        for entry in doomed:
            entry.path.unlink(missing_ok=True)
        return len(doomed), sum(entry.size for entry in doomed)

    def copy_into(self, other: Store) -> int:
        """Copy every intact entry that `other` lacks; return how many."""
        copied = 0
        for entry in self.entries():
            goal = other.folder / entry.path.relative_to(self.folder)
            if goal.exists():
                continue
            content = entry.path.read_bytes()
            if entry.path.suffix != ".json" or intact(entry.kind, entry.key, content):
                write_bytes(goal, content)
                copied += 1
        return copied


def intact(kind: str, key: str, content: bytes) -> bool:
    """Tell whether a JSON entry is the one that was stored as this kind under this key, bit by bit."""
    checksum, _, payload = content.partition(b"\n")
    return _checksum(kind, key, payload) == checksum


def _checksum(kind: str, key: str, payload: bytes) -> bytes:
    return hashlib.sha256(f"{kind}/{key}\n".encode() + payload).hexdigest().encode()


def content_key(**parts: Any) -> str:
    """Return the SHA-256 over named parts; a part may be any JSON document."""
    return digest(parts)


@cache
def folder_digest(folder: Path) -> str:
    """Return the SHA-256 over the files of a folder, names and content; read once per process.

    Files above `LARGE` bytes are told apart by size and time of change instead of content.
    """
    sha = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        status = path.stat()
        content = sha256_of(path) if status.st_size <= LARGE else f"{status.st_size}/{status.st_mtime_ns}"
        sha.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return sha.hexdigest()
