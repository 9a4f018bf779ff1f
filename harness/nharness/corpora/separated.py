"""Tables of separated values: every row as many cells as there are columns, and no guess about quotation marks.

1. CSV: cells between commas; one that holds a comma, a line end or a quotation mark stands in quotation marks, which
   it doubles.
2. TSV: cells between tabs, in one of two customs. *Literal*: a quotation mark is a letter like others. *Quoted*: as
   CSV, which is how spreadsheets write. The custom is that of the whole file: where a file can be read in one way
   only, in that; else quoted if some cell doubles its marks, if the whole first row has them, or if cells with commas
   have them and no other cell does (so do spreadsheets); literal if some cell has marks as no spreadsheet writes them;
   and refused where neither or both are so.
3. A row with another number of cells than there are columns, and a column name that stands there twice, are refused.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from nharness.corpora.opening import LONGEST, Lines, opened
from nharness.errors import FileFormatError

MOST_COLUMNS = 10_000
ENOUGH = 3
"""Cells that have a comma and quotation marks, from which it is the custom of the file and no accident."""
Cells = tuple[int, list[str]]
"""The line a row begins on, and its cells."""
JSON_LINES = 'write JSON Lines instead (.jsonl, one {"text": "..."} a line)'


def csv_rows(path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Yield the rows of a CSV file by the names in its first row, each with the line it begins on."""
    with opened(path) as lines:
        yield from _named(path, _quoted(lines, ","), "comma")


def tsv_rows(path: Path, *, header: bool = True) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Yield the rows of a TSV file by the names in its first row; without one, columns are "0", "1", ..."""
    read = _quoted_tabs if _is_quoted(path) else _literal
    with opened(path) as lines:
        cells = read(lines)
        if header:
            yield from _named(path, cells, "tab")
            return
        first = next(cells, None)
        if first is not None:
            yield from _rectangular(
                path, [str(n) for n in range(len(first[1]))], itertools.chain([first], cells), "tab"
            )


def _named(path: Path, cells: Iterator[Cells], mark: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    line, names = next(cells, (1, []))
    refuse_columns(f"{path} line {line}", names)
    other = next((m for m in ";\t|" if len(names) == 1 and m in names[0]), None)
    if other is not None:
        raise FileFormatError(
            f"{path} line {line}: one column {names[0]!r}; expected columns with a {mark} between them, not {other!r}"
        )
    return _rectangular(path, names, cells, mark)


def refuse_columns(where: str, names: Sequence[str]) -> None:
    """Raise `FileFormatError` for a name that is there twice, and for more columns than a table of text has."""
    if len(names) > MOST_COLUMNS:
        raise FileFormatError(f"{where}: {len(names):,} columns; expected a table of text, of at most {MOST_COLUMNS:,}")
    twice = first_repeated(names)
    if twice is not None:
        raise FileFormatError(f"{where}: two columns are named {twice!r}; expected each name once")


def first_repeated(names: Iterable[str]) -> str | None:
    """Return the first name that was there before; None where each is there once."""
    seen = set[str]()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _rectangular(
    path: Path, names: Sequence[str], cells: Iterator[Cells], mark: str
) -> Iterator[tuple[int, Mapping[str, str]]]:
    for line, row in cells:
        if len(row) != len(names):
            raise FileFormatError(
                f"{path} line {line}: {_counted(len(row), 'cell')} under {_counted(len(names), 'column')} "
                f"({', '.join(names)[:100]}); {_advice(mark, missing=len(row) < len(names))}"
            )
        yield line, dict(zip(names, row, strict=True))


def _advice(mark: str, *, missing: bool) -> str:
    if missing:
        return f"write an empty cell as nothing after its {mark}"
    return 'enclose a text that holds a comma in quotation marks: "Hello, world"' if mark == "comma" else JSON_LINES


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _quoted(lines: Lines, mark: str) -> Iterator[Cells]:
    csv.field_size_limit(LONGEST)
    reader = csv.reader(lines, delimiter=mark, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise FileFormatError(
                f"{lines.path} line {line}: a cell whose quotation marks do not close where it ends ({error}); inside "
                f'quotation marks each one is written twice: "He said ""yes"""'
            ) from error
        if row is None:
            return
        if row:
            yield line, row


def _quoted_tabs(lines: Lines) -> Iterator[Cells]:
    return _quoted(lines, "\t")


def _literal(lines: Lines) -> Iterator[Cells]:
    for line in lines:
        text = line.rstrip("\r\n")
        if text:
            yield lines.number, text.split("\t")


def _is_quoted(path: Path) -> bool:
    """Tell whether a TSV file's quotation marks are the table's and not the text's; `FileFormatError` if unclear."""
    with opened(path) as lines:
        marked = any(line.startswith('"') or '\t"' in line for line in lines)
    if not marked:
        return False
    quoted, literal = _fits(path, _quoted_tabs), _fits(path, _literal)
    if quoted and literal:
        return _by_custom(path)
    return quoted


def _fits(path: Path, read: Callable[[Lines], Iterator[Cells]]) -> bool:
    """Tell whether a file is a table, every row of one width, when it is read in this way."""
    try:
        with opened(path) as lines:
            return len({len(row) for _, row in read(lines)}) == 1
    except FileFormatError:
        return False


def _by_custom(path: Path) -> bool:
    """Decide by who can have written the marks: spreadsheets enclose where a cell needs it, or all cells."""
    table, text, enclosed, bare = 0, 0, list[int](), 0  # lines that show whose they are, of cells with commas
    every = False
    with opened(path) as lines:
        for line, row in _literal(lines):
            every = every or (line == 1 and all(map(_is_enclosed, row)))
            for cell in row:
                if not _is_enclosed(cell):
                    text = text or (line if '"' in cell else 0)
                    bare += "," in cell
                elif '""' in cell[1:-1]:
                    table = table or line
                elif "," in cell:
                    enclosed.append(line)
                elif len(cell) > len('""'):
                    text = text or (line if not every else 0)
    table = table or int(every)
    if not table and not text and not bare and len(enclosed) >= ENOUGH:
        table = enclosed[0]
    if bool(table) == bool(text) and not (bare and not table):
        raise FileFormatError(
            f"{path} line {text or enclosed[0]}: a cell with quotation marks, which may be the table's or the text's "
            f"own; {JSON_LINES}"
        )
    return bool(table)


def _is_enclosed(cell: str) -> bool:
    return len(cell) > 1 and cell[0] == cell[-1] == '"'
