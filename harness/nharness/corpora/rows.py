"""Rows out of data files: JSON Lines, JSON, CSV, TSV, Parquet, plain text, all but Parquet also with `.gz`.

The one reader of corpora and of tasks' local data. Plain text: paragraphs between empty lines are documents; where no
empty line stands between two that are not, every line is one. JSON is a list of objects, an object whose `data` is
one, or objects one a line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nharness.corpora.opening import LONGEST, Lines, opened, refuse_bomb
from nharness.corpora.separated import csv_rows, first_repeated, refuse_columns, tsv_rows
from nharness.errors import FileFormatError

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt", ".parquet")
PACKED = (".bz2", ".xz", ".zst", ".zip", ".7z", ".tar", ".tgz")
"""Ends of archives that are not read, and named rather than passed over."""
ROWS_AT_ONCE = 1024
TEXT_TYPES = ("string", "large_string")
"""Columns of Parquet that are read as texts and references to them."""

Row = tuple[str, Mapping[str, Any]]
"""Where the row is ("file.jsonl line 3"), and its columns."""


def suffix_of(name: str) -> str:
    """Return the kind of a data file by its name, `.jsonl` of `en.JSONL.gz`."""
    return Path(name.lower().removesuffix(".gz")).suffix


def read_rows(path: Path, *, header: bool = True) -> Iterator[Row]:
    """Read a data file row by row; raises `FileFormatError` naming file and line for damage.

    header: whether the first row of a TSV names its columns; without, they are "0", "1", ...
    """
    suffix = suffix_of(path.name)
    if suffix == ".csv":
        found = csv_rows(path)
    elif suffix == ".tsv":
        found = tsv_rows(path, header=header)
    elif suffix == ".txt":
        found = _text(path)
    elif suffix == ".json":
        yield from _json(path)
        return
    elif suffix == ".parquet":
        yield from rows_of(str(path), _parquet(path))
        return
    else:
        found = _json_lines(path)
    for line, row in found:
        yield f"{path} line {line}", row


def rows_of(where: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    """Number rows of anything but a text file: "<where> row <n>", from 1."""
    for number, row in enumerate(rows, start=1):
        yield f"{where} row {number}", row


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file, ends included; bounded and told of as rows are."""
    with opened(path) as lines:
        yield from lines


def first_gap(path: Path) -> int | None:
    """Return the first empty line of a text file that stands between two that are not; None without one.

    A file without one has a document per line, one with it has paragraphs.
    """
    with opened(path) as lines:
        began, gap = False, None
        for line in lines:
            if line.strip():
                if gap is not None:
                    return gap
                began = True
            elif began and gap is None:
                gap = lines.number
    return None


def _text(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    one_a_line = first_gap(path) is None
    start, paragraph, size = 1, list[str](), 0
    with opened(path) as lines:
        for line in lines:
            if "\0" in line:
                raise FileFormatError(f"{path} line {lines.number}: a NUL character, so not text")
            if line.strip():
                start = start if paragraph else lines.number
                paragraph.append(line.rstrip("\r\n"))
                size += len(line)
            if size > LONGEST:
                raise FileFormatError(f"{path} line {start}: a paragraph of more than {LONGEST:,} characters")
            if paragraph and (one_a_line or not line.strip()):
                yield start, {"text": "\n".join(paragraph)}
                paragraph, size = [], 0
    if paragraph:
        yield start, {"text": "\n".join(paragraph)}


def _json_lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with opened(path) as lines:
        yield from _objects(path, lines)


def _objects(path: Path, lines: Lines) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for line in lines:
        if line.strip():
            yield lines.number, _named(f"{path} line {lines.number}", _parsed(path, lines.number, line.rstrip()))


def _json(path: Path) -> Iterator[Row]:
    with opened(path) as lines:
        text = lines.whole()
    if _is_lines(text):
        for line, row in _json_lines(path):
            yield f"{path} line {line}", row
        return
    value = _parsed(path, 1, text) if text.strip() else []
    entries = value["data"] if isinstance(value, dict) and isinstance(value.get("data"), list) else value
    for number, entry in enumerate(entries if isinstance(entries, list) else [entries], start=1):
        yield f"{path} entry {number}", _named(f"{path} entry {number}", entry)


def _is_lines(text: str) -> bool:
    """Tell whether the text is JSON Lines by another name: its first line is an object, and something follows."""
    first, _, rest = text.lstrip().partition("\n")
    if not first.startswith("{") or not rest.strip():
        return False
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return False
    return True


def _named(where: str, row: Any) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise FileFormatError(f"{where}: a {type(row).__name__}, expected named columns")
    return row


def _parsed(path: Path, number: int, text: str) -> Any:
    """Return the JSON value in a text that begins on line `number`; a name that stands in an object twice is damage."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = first_repeated(name for name, _ in pairs)
            raise FileFormatError(f"{path} line {number}: {twice!r} occurs twice in one object")
        return found

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise FileFormatError(f"{path} line {number + error.lineno - 1}: damaged JSON ({error.msg})") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets without end
        raise FileFormatError(f"{path} line {number}: JSON that cannot be read ({str(error)[:60]})") from error


def _parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a Parquet file; what a text that stands there once and is referred to often becomes counts."""
    from pyarrow import ArrowException, parquet  # noqa: PLC0415 - heavy, and only who has such files needs it

    packed, read = path.stat().st_size, 0
    try:
        with parquet.ParquetFile(path) as shape:
            columns = shape.schema_arrow
        refuse_columns(str(path), columns.names)
        texts = [field.name for field in columns if str(field.type) in TEXT_TYPES]
        with parquet.ParquetFile(path, read_dictionary=texts) as file:
            refuse_bomb(path, _stated(file.metadata), packed)
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE):
                values = [_shared(column) for column in batch.columns]
                for cells in zip(*values, strict=True):
                    read += sum(len(cell) if isinstance(cell, str) else 1 for cell in cells)
                    refuse_bomb(path, read, packed)
                    yield dict(zip(columns.names, cells, strict=True))
    except (ArrowException, OSError) as error:
        raise FileFormatError(f"{path}: not a readable Parquet file ({error})") from error


def _shared(column: Any) -> list[Any]:
    """Return a column's values; a text that it refers to often is one object."""
    if not hasattr(column, "dictionary"):
        return list(column.to_pylist())
    texts = column.dictionary.to_pylist()
    return [None if place is None else texts[place] for place in column.indices.to_pylist()]


def _stated(metadata: Any) -> int:
    """Return the bytes that a file says it unpacks to, at least one for each of its rows."""
    whole = sum(metadata.row_group(n).total_byte_size for n in range(metadata.num_row_groups))
    return max(int(whole), int(metadata.num_rows))
