"""The items file: one JSON line per evaluated item, JSON Lines, gzip when its name ends in `.gz`.

A line: `{"task", "target", "control", "language", "id", "cluster", "values"}`. target null: the intact model. control
null: the detection's own neurons; a whole number: that random draw. Perplexity items have `nll` (nats), `tokens` and
`bytes` (UTF-8); choice items have `acc` (0 or 1). Items of generation tasks have one more field, `text`: what the model
wrote, so that anyone can read what was judged. Equal items give equal bytes.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from nharness.atomic import write_bytes
from nharness.errors import FileFormatError
from nharness.record.reading import open_plain

COMPRESS_ABOVE = 100_000
MAX_BYTES = 2_000_000_000
MAX_LINE = 1_000_000
_FIELDS = ("task", "target", "control", "language", "id", "cluster", "values")


@dataclass(frozen=True, slots=True)
class RecordedItem:
    """One evaluated document or question inside one cell; `values` are finite numbers by name.

    text: what the model wrote, where the values judge a text; else None.
    """

    task: str
    target: str | None
    control: int | None
    language: str
    id: str
    cluster: str
    values: Mapping[str, float]
    text: str | None = None

    @property
    def cell(self) -> tuple[str, str | None, int | None, str]:
        """Return (task, target, control, language)."""
        return self.task, self.target, self.control, self.language

    def line(self) -> str:
        """Return the JSON line, without the newline; NaN is refused with ValueError."""
        document = {name: getattr(self, name) for name in _FIELDS[:-1]}
        document["values"] = dict(sorted(self.values.items()))
        if self.text is not None:
            document["text"] = self.text
        return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def write_items(folder: Path, items: Iterable[RecordedItem], *, stem: str = "items") -> Path:
    """Write `items.jsonl`, or `items.jsonl.gz` above 100,000 bytes, in the order given; return the path.

    Raises `OutputError` when the folder cannot be written.
    """
    content = "".join(item.line() + "\n" for item in items).encode()
    if len(content) <= COMPRESS_ABOVE:
        path = folder / f"{stem}.jsonl"
        write_bytes(path, content)
        return path
    path = folder / f"{stem}.jsonl.gz"
    write_bytes(path, gzip.compress(content, compresslevel=6, mtime=0))
    return path


def read_items(path: Path, *, max_bytes: int = MAX_BYTES) -> Iterator[RecordedItem]:
    """Yield the items of a file, in its order.

    Raises `FileFormatError` naming file and line for damage, a missing or wrong field, a value that is not a finite
    number, an item that comes twice in a cell, or more than `max_bytes` of text (after decompression).
    """
    total, seen = 0, set[tuple[object, str]]()
    try:
        with open_plain(path, max_bytes=MAX_BYTES) as plain, _opened(plain, path) as handle:
            for number in range(1, MAX_BYTES):
                line = handle.readline(MAX_LINE + 1)
                if not line:
                    return
                total += len(line)
                if len(line) > MAX_LINE or total > max_bytes:
                    raise FileFormatError(
                        f"{path}, line {number}: more than {MAX_LINE} bytes in a line or {max_bytes} in the file"
                    )
                item = parse_item(line, where=f"{path}, line {number}")
                if (item.cell, item.id) in seen:
                    raise FileFormatError(f"{path}, line {number}: item {item.id[:80]!r} occurs twice in one cell")
                seen.add((item.cell, item.id))
                yield item
    except (OSError, EOFError, zlib.error) as error:
        raise FileFormatError(f"{path}: cannot be read as an items file ({error})") from error


def parse_item(line: bytes, *, where: str) -> RecordedItem:
    """Return the item on one line; raises `FileFormatError` saying what is wrong with it."""
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{where}: not JSON ({error})") from error
    if not isinstance(document, dict) or set(document) - {"text"} != set(_FIELDS):
        raise FileFormatError(
            f"{where}: expected an object with exactly the fields {', '.join(_FIELDS)}, and optionally text"
        )
    for name in ("task", "language", "id", "cluster", "text"):
        if not isinstance(document.get(name, ""), str):
            raise FileFormatError(f"{where}: field {name!r} should be text")
    if not isinstance(document["target"], str | None) or not _is_draw(document["control"]):
        raise FileFormatError(f"{where}: 'target' should be text or null, 'control' a whole number or null")
    values = document["values"]
    if not isinstance(values, dict) or not all(_is_finite(value) for value in values.values()):
        raise FileFormatError(f"{where}: 'values' should hold finite numbers by name")
    return RecordedItem(**document)


def _is_draw(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)


def _is_finite(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _opened(plain: BinaryIO, path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.GzipFile(fileobj=plain)) if path.suffix == ".gz" else plain
