"""Writing that is all or nothing: a temporary file beside the target, then renamed.

The temporary file is locked for as long as its writer lives, so that leftovers of a killed writer can be
distinguished from what is still being written, and removed.
"""

from __future__ import annotations

import fcntl
import glob
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nharness.errors import OutputError

FRESH = 2.0
"""Seconds within which a temporary file may not have been locked yet."""


def write_bytes(path: Path, content: bytes) -> None:
    """Put `content` at `path`, or leave what was there; raises `OutputError` when the place cannot be written.

    Once it returns, the content outlasts a power failure, and nothing is left of writers of `path` that were killed.
    """
    _write(path, content, os.fsync)
    remove_abandoned(path.parent, f".{glob.escape(path.name)}.*.part")


def write_unflushed(path: Path, content: bytes) -> None:
    """As `write_bytes`, without waiting for the disk: for content that carries a checksum and can be made again."""
    _write(path, content, lambda _: None)


def remove_abandoned(folder: Path, pattern: str = "**/.*.part") -> None:
    """Remove the temporary files of writers that are no more; one that cannot be removed stays."""
    for part in folder.glob(pattern):
        try:
            with part.open("rb") as handle:
                if time.time() - os.fstat(handle.fileno()).st_mtime > FRESH:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    part.unlink()
        except OSError:  # somebody writes it, or has just renamed it
            continue


def _write(path: Path, content: bytes, settle: Callable[[int], None]) -> None:
    make_folder(path.parent)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            handle.write(content)
            handle.flush()
            settle(handle.fileno())
        part.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document, sorted and indented, so that equal documents are equal bytes; NaN is refused."""
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_bytes(path, text.encode() + b"\n")


def make_folder(path: Path) -> None:
    """Create the folder and its parents; raises `OutputError` with the reason when that is impossible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot create folder {path}: {error.strerror or error}") from error


@contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """Give a new empty folder that takes the place of `path` when the block ends without an error.

    What was at `path` stays until then, whole, and is what stays when the block raises. Raises `OutputError` when the
    place cannot be written.
    """
    make_folder(path.parent)
    recover_folder(path)
    new, old = path.with_name(f".{path.name}.new"), path.with_name(f".{path.name}.old")
    shutil.rmtree(new, ignore_errors=True)
    make_folder(new)
    try:
        yield new
        if path.exists():
            path.rename(old)
        new.rename(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def recover_folder(path: Path) -> None:
    """Put back what a process that was killed in the middle of `replaced_folder` had moved aside."""
    old = path.with_name(f".{path.name}.old")
    if old.exists() and not path.exists():
        old.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def require_place(option: str, path: Path, *, folder: bool) -> None:
    """Raise `OutputError` unless `path` can be a folder, or a file, that is written; nothing is made.

    option: that names the place, for the message.
    """
    if not folder and path.is_dir():
        raise OutputError(f"{option} {path} is a folder; expected a file")
    place = path if folder else path.parent
    there = next(each for each in (place, *place.parents) if os.path.lexists(each))
    if not there.is_dir():
        raise OutputError(f"{option} {path}: {there} is not a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(f"{option} {path}: folder {there} cannot be written")


def check_writable(path: Path) -> None:
    """Raise `OutputError` unless a file can be created in the folder `path`, which is made when absent."""
    make_folder(path)
    try:
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise OutputError(f"cannot write into {path}: {error.strerror or error}") from error
