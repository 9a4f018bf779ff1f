"""Rows out of local files: JSON Lines, JSON, CSV, TSV, Parquet, plain text, all but Parquet also with `.gz`.

Plain text: paragraphs between empty lines are documents; in a file without an empty line every line is one.
A name says split and language anywhere in the path below the corpus folder, as a folder or between dots, underscores or
dashes: `detect/zh.jsonl.gz`, `zh/train.parquet`, `val.et.jsonl`, `mgsm_de.tsv`, `zho_Hans.dev.txt`.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import langcodes

from nharness.corpora.tables import DETECT, EVAL, Row, Table, rows_of
from nharness.errors import CorpusError, FileFormatError
from nharness.languages import parse_language

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt", ".parquet")
LONGEST_FIELD = 1 << 30
EVERY = "all"
"""A name of files of all languages, and no more the tag of Allar."""
NO_DATA = frozenset({"corpus", "readme", "license", "licence", "notice", "copying", "changelog", "dataset_infos"})


def find_tables(root: Path, *, extra_splits: Sequence[str] = ()) -> list[Table]:
    """Return one table a data file under the folder `root` (or the file `root`), sorted by path.

    extra_splits: names of splits beyond the usual ones. Raises `CorpusError` when there is no data file.
    """
    if root.is_file():
        return [_table(root, root.name, extra_splits)]
    paths = sorted(path for path in root.rglob("*") if path.is_file() and _is_data(path.relative_to(root)))
    if not paths:
        raise CorpusError(f"{root}: no data file; expected files such as en.jsonl with one of {', '.join(SUFFIXES)}")
    return [_table(path, path.relative_to(root).as_posix(), extra_splits) for path in paths]


def read_rows(path: Path) -> Iterator[Row]:
    """Read a data file row by row; raises `FileFormatError` naming file and line for damage."""
    suffix = _suffix(path.name)
    if suffix == ".parquet":
        yield from rows_of(str(path), _parquet(path))
        return
    line = 0
    try:
        with _open(path) as handle:
            reader = {".json": _json, ".csv": _csv, ".tsv": _csv, ".txt": _text}.get(suffix, _json_lines)
            for line, row in reader(path, handle):
                yield f"{path} line {line}", row
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FileFormatError(f"{path}: damaged or truncated gzip file after line {line} ({error})") from error
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path}: not UTF-8 text after line {line} ({error.reason})") from error
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror or error})") from error


def _is_data(relative: Path) -> bool:
    hidden = any(part.startswith((".", "_")) for part in relative.parts)
    return not hidden and _suffix(relative.name) in SUFFIXES and relative.name.partition(".")[0].lower() not in NO_DATA


def _suffix(name: str) -> str:
    return Path(name.lower().removesuffix(".gz")).suffix


def _table(path: Path, relative: str, extra_splits: Sequence[str]) -> Table:
    name = relative.removesuffix(".gz")
    name = name.removesuffix(Path(name).suffix)
    split: str | None = None
    language: str | None = None
    for piece in re.split(r"[/.]", name):
        for part in [piece] if _means(piece, extra_splits) else re.split(r"[_-]", piece):
            if part in extra_splits or part in {*DETECT, *EVAL}:
                split = part
            else:
                language = _tag(part) or language
    return Table(str(path), split, language, lambda: read_rows(path))


def _means(piece: str, extra_splits: Sequence[str]) -> bool:
    return piece in extra_splits or piece in {*DETECT, *EVAL} or _tag(piece) is not None


def _tag(piece: str) -> str | None:
    if piece == EVERY or not re.fullmatch(r"[a-z]{2,3}([-_][A-Z][a-z]{3})?([-_][A-Z]{2})?", piece):
        return None
    return parse_language(piece) if langcodes.tag_is_valid(piece.replace("_", "-")) else None


def _open(path: Path) -> TextIO:
    if path.name.lower().endswith(".gz"):
        return io.TextIOWrapper(gzip.open(path, "rb"), encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _json_lines(path: Path, handle: TextIO) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(handle, start=1):
        if line.strip():
            yield number, _json_row(path, number, line)


def _json(path: Path, handle: TextIO) -> Iterator[tuple[int, Mapping[str, Any]]]:
    text = handle.read()
    if not text.lstrip().startswith("["):
        yield from _json_lines(path, io.StringIO(text))
        return
    for number, row in enumerate(_parsed(path, 1, text), start=1):
        if not isinstance(row, dict):
            raise FileFormatError(f"{path} entry {number}: a {type(row).__name__}, expected named columns")
        yield number, row


def _json_row(path: Path, number: int, line: str) -> Mapping[str, Any]:
    row = _parsed(path, number, line)
    if not isinstance(row, dict):
        raise FileFormatError(f"{path} line {number}: a {type(row).__name__}, expected named columns")
    return row


def _parsed(path: Path, number: int, text: str) -> Any:
    """Return the JSON value in a text that begins on line `number`."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise FileFormatError(f"{path} line {number + error.lineno - 1}: damaged JSON ({error.msg})") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets without end
        raise FileFormatError(f"{path} line {number}: JSON that nothing can hold ({str(error)[:60]})") from error


def _csv(path: Path, handle: TextIO) -> Iterator[tuple[int, Mapping[str, Any]]]:
    csv.field_size_limit(LONGEST_FIELD)
    tabs = _suffix(path.name) == ".tsv"
    reader = csv.DictReader(
        handle, delimiter="\t" if tabs else ",", quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL
    )
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise FileFormatError(f"{path} line {reader.line_num}: damaged table ({error})") from error


def _text(path: Path, handle: TextIO) -> Iterator[tuple[int, Mapping[str, Any]]]:
    lines = [line.rstrip("\r\n") for line in handle]
    one_a_line = all(line.strip() for line in lines)
    start, paragraph = 1, list[str]()
    for number, line in enumerate([*lines, ""], start=1):
        if "\0" in line:
            raise FileFormatError(f"{path} line {number}: a NUL character, so it is no text")
        if line.strip():
            start = start if paragraph else number
            paragraph.append(line)
        if paragraph and (one_a_line or not line.strip()):
            yield start, {"text": "\n".join(paragraph)}
            paragraph = []


def _parquet(path: Path) -> Iterable[Mapping[str, Any]]:
    from pyarrow import ArrowException, parquet  # noqa: PLC0415 - heavy, and only who has such files needs it

    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                yield from batch.to_pylist()
    except (ArrowException, OSError) as error:
        raise FileFormatError(f"{path}: not a readable Parquet file ({error})") from error
