"""Text files opened with bounds: regular files only, lines of a length that fits into memory, no endless archive.

What a file can cost is known before it is paid: a line of more than `LONGEST` characters is refused when so much of it
was read, and so is an archive of which more than `EXPANSION` times as much comes out as was read of it (text packs 3
to 20 times).
"""

from __future__ import annotations

import gzip
import io
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TextIO

from nharness.errors import CorpusError, FileFormatError

LONGEST = 1 << 25
"""Most characters of one line, one cell or one paragraph: some ten long novels."""
LARGEST_WHOLE = 1 << 28
"""Most characters of a file that can only be read whole (JSON that is one value)."""
EXPANSION, NO_BOMB = 100, 1 << 24
"""Most characters of an archive's text for each of its bytes, where there are more than `NO_BOMB` of them."""


@dataclass
class Lines:
    """The lines of an open file, ends included.

    packed: the archive that they come out of; None for plain text. number: of the line that was read last, from 1; 0
    before the first.
    """

    path: Path
    handle: TextIO
    packed: BinaryIO | None = None
    number: int = 0
    _read: int = field(default=0, repr=False)

    def __iter__(self) -> Iterator[str]:
        """Yield line by line; raises `FileFormatError` where one or all of them together grow out of bounds."""
        while line := self.handle.readline(LONGEST + 1):
            self.number += 1
            if len(line) > LONGEST:
                raise FileFormatError(
                    f"{self.path} line {self.number}: longer than {LONGEST:,} characters; expected one document per "
                    "line, long ones cut into parts (ids page#1, page#2, ...)"
                )
            self._count(len(line))
            yield line

    def whole(self) -> str:
        """Return all that is left; raises `FileFormatError` when that is more than `LARGEST_WHOLE` characters."""
        text = self.handle.read(LARGEST_WHOLE + 1)
        if len(text) > LARGEST_WHOLE:
            raise FileFormatError(
                f"{self.path}: more than {LARGEST_WHOLE:,} characters of JSON in one value; expected JSON Lines "
                "(.jsonl, one object per line), which are read line by line"
            )
        self._count(len(text))
        return text

    def _count(self, characters: int) -> None:
        self._read += characters
        if self.packed is not None and self._read > NO_BOMB:
            refuse_bomb(self.path, self._read, self.packed.tell())


@contextmanager
def opened(path: Path) -> Iterator[Lines]:
    """Open a text file, packed by gzip or not.

    Raises `FileFormatError` for damage, naming the last good line, `CorpusError` for what cannot be read.
    """
    lines: Lines | None = None
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise CorpusError(f"{path}: not a regular text file")
        packed = path.name.lower().endswith(".gz")
        with (
            path.open("rb") as raw,
            io.TextIOWrapper(gzip.open(raw) if packed else raw, encoding="utf-8-sig", newline="") as handle,
        ):
            lines = Lines(path, handle, raw if packed else None)
            yield lines
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FileFormatError(f"{path}: damaged or truncated gzip file after line {_last(lines)} ({error})") from error
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path}: not UTF-8 text after line {_last(lines)} ({error.reason})") from error
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror or error})") from error


def refuse_bomb(path: Path, characters: int, packed: int) -> None:
    """Raise `FileFormatError` where `packed` bytes of an archive became more characters than bytes of text do."""
    if characters > max(NO_BOMB, EXPANSION * packed):
        raise FileFormatError(
            f"{path}: its first {packed:,} bytes unpack to more than {EXPANSION} times as many, more than text would; "
            "if that is intended, unpack it yourself"
        )


def _last(lines: Lines | None) -> int:
    return lines.number if lines is not None else 0
