"""Writing that is all or nothing: a temporary file beside the target, then renamed."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nharness.errors import OutputError


def write_bytes(path: Path, content: bytes) -> None:
    """Put `content` at `path`, or leave what was there; raises `OutputError` when the place cannot be written.

    Once it returns, the content outlasts a power failure.
    """
    _write(path, content, os.fsync)


def write_unflushed(path: Path, content: bytes) -> None:
    """As `write_bytes`, without waiting for the disk: for content that carries a checksum and can be made again."""
    _write(path, content, lambda _: None)


def _write(path: Path, content: bytes, settle: Callable[[int], None]) -> None:
    make_folder(path.parent)
    name = ""
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(content)
            handle.flush()
            settle(handle.fileno())
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(path)
    except OSError as error:
        if name:
            Path(name).unlink(missing_ok=True)
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


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


def check_writable(path: Path) -> None:
    """Raise `OutputError` unless a file can be created in the folder `path`, which is made when absent."""
    make_folder(path)
    try:
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise OutputError(f"cannot write into {path}: {error.strerror or error}") from error


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
