"""Reading foreign files: plain files only, opened without following a link, never more than asked.

A folder of records may hold a link to a device, a pipe without a writer, or a file without end. None of them is
waited for or read.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from pathlib import Path
from typing import BinaryIO

from nharness.errors import FileFormatError, OutputError

_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_CHUNK = 1 << 20


def open_plain(path: Path, *, max_bytes: int) -> BinaryIO:
    """Return a plain file opened for reading.

    Raises `FileFormatError` for what is absent, a link, a folder, a pipe, a device, or larger than `max_bytes`; the
    size is that of the opened file.
    """
    try:
        descriptor = os.open(path, _FLAGS | getattr(os, "O_BINARY", 0))
    except OSError as error:
        why = "it is a link; only plain files are read" if error.errno == errno.ELOOP else error.strerror or str(error)
        raise FileFormatError(f"{path}: cannot be read ({why})") from error
    status, wrong = os.fstat(descriptor), ""
    if not stat.S_ISREG(status.st_mode):
        wrong = "it is no plain file"
    elif status.st_size > max_bytes:
        wrong = f"it has {status.st_size} bytes; at most {max_bytes} are read"
    if wrong:
        os.close(descriptor)
        raise FileFormatError(f"{path}: cannot be read ({wrong})")
    return os.fdopen(descriptor, "rb")


def read_plain(path: Path, *, max_bytes: int) -> bytes:
    """Return a plain file's bytes; errors as in `open_plain`, also for a file that grows beyond `max_bytes`."""
    with open_plain(path, max_bytes=max_bytes) as handle:
        try:
            content = handle.read(max_bytes + 1)
        except OSError as error:
            raise FileFormatError(f"{path}: cannot be read ({error.strerror or error})") from error
    if len(content) > max_bytes:
        raise FileFormatError(f"{path}: cannot be read (it grows beyond {max_bytes} bytes)")
    return content


def size_of(path: Path, *, max_bytes: int) -> int:
    """Return a plain file's size in bytes; errors as in `open_plain`."""
    with open_plain(path, max_bytes=max_bytes) as handle:
        return os.fstat(handle.fileno()).st_size


def sha256_plain(path: Path, *, max_bytes: int) -> str:
    """Return the SHA-256 of a plain file's bytes, hexadecimal; errors as in `read_plain`."""
    digest, left = hashlib.sha256(), max_bytes
    with open_plain(path, max_bytes=max_bytes) as handle:
        try:
            while chunk := handle.read(min(_CHUNK, left + 1)):
                left -= len(chunk)
                if left < 0:
                    raise FileFormatError(f"{path}: cannot be read (it grows beyond {max_bytes} bytes)")
                digest.update(chunk)
        except OSError as error:
            raise FileFormatError(f"{path}: cannot be read ({error.strerror or error})") from error
    return digest.hexdigest()


def copy_plain(source: Path, target: Path, *, max_bytes: int) -> None:
    """Copy a plain file's bytes; errors as in `read_plain`, `OutputError` for a target that cannot be written."""
    with open_plain(source, max_bytes=max_bytes) as handle:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as made:
                shutil.copyfileobj(handle, made)
        except OSError as error:
            raise OutputError(f"cannot copy {source} to {target}: {error.strerror or error}") from error
