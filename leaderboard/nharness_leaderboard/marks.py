"""Tables that a command writes into a Markdown file, between two marks."""

from __future__ import annotations

from pathlib import Path

from nharness import atomic
from nharness.errors import FileFormatError


def put_between(path: Path, begin: str, end: str, body: str) -> None:
    """Replace the text between two marks of a file; raises `FileFormatError` if it lacks them."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read ({error.strerror}); expected a Markdown file") from error
    before, first, rest = text.partition(begin)
    _, last, after = rest.partition(end)
    if not first or not last:
        raise FileFormatError(
            f"{path} has no place for the table: expected a line {begin!r} and, below it, a line {end!r}"
        )
    atomic.write_bytes(path, f"{before}{begin}\n\n{body}\n{end}{after}".encode())
