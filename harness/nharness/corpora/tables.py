"""From rows to a corpus: which column is what, which table is of which language and split.

1. A table is a file or a split of a hub dataset: named columns, one row per document.
2. Its language stands in its name, or in a column; its split stands in its name, or is unknown.
3. Names of splits become `detect` and `eval`: by the mapping given, else the first that exists of `DETECT` and,
   among the others, of `EVAL`. Where only one split exists, documents are divided in halves by a hash of their
   cluster (page, source or id), the same in every language, so that no page and no translation stands on both sides.
"""

from __future__ import annotations

import hashlib
import re
import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from nharness.corpora.corpus import Corpus, Document, Reader
from nharness.corpora.rows import Row
from nharness.errors import CorpusError, UnknownNameError, UsageError, during, nearest
from nharness.languages import parse_language, primary

DETECT = ("detect", "train", "validation", "valid", "val", "dev", "test", "eval")
EVAL = ("eval", "test", "validation", "valid", "val", "dev", "train", "detect")
WHOLE = "all"
LANGUAGE_COLUMNS = ("language", "lang", "locale")


@dataclass(frozen=True)
class Columns:
    """Which column holds what.

    None: the column of the usual name if there is one (`id`, `source`, `prompt`, `language`).
    A document without an id is called after its row: `row-00000007`; one with a prompt needs no text.
    """

    text: str = "text"
    id: str | None = None
    source: str | None = None
    prompt: str | None = None
    language: str | None = None


@dataclass(frozen=True)
class Table:
    """Rows of one file or dataset split; `split` and `language` are None where its name does not say them.

    doubt: why the name says no language though it seems to; told when no column says it either.
    """

    where: str
    split: str | None
    language: str | None
    rows: Callable[[], Iterator[Row]]
    doubt: str = ""


def assemble(
    name: str, tables: Sequence[Table], columns: Columns, *, splits: Mapping[str, str] | None = None, identity: str = ""
) -> Corpus:
    """Return the corpus made of `tables`.

    splits: `{"detect": <name in the source>, "eval": <name in the source>}`, either or both. Raises `CorpusError` for a
    table whose language cannot be told, `UnknownNameError` for a split that is not there.
    """
    by_name: dict[str, dict[str, list[Table]]] = {}
    spelled: dict[tuple[str, str], str] = {}
    for table in tables:
        split = table.split or WHOLE
        for written, tag in _languages_of(table, columns).items():
            _refuse_two_spellings(table.where, written, tag, spelled.setdefault((split, tag), written))
            by_name.setdefault(split, {}).setdefault(tag, []).append(table)
    if not by_name:
        raise CorpusError(f"corpus {name!r} is empty: no row in {', '.join(table.where for table in tables) or 'it'}")
    chosen = _choose_splits(name, tuple(by_name), splits or {})
    divided = chosen["detect"] == chosen["eval"]
    readers: dict[str, dict[str, Reader]] = {}
    for split, source in chosen.items():
        half = split if divided else None
        readers[split] = {tag: _reader(tag, found, columns, half) for tag, found in by_name[source].items()}
    how = "{detect}, divided by a hash of page, source or id" if divided else "{detect}, {eval}"
    return Corpus(name, readers, identity, {"splits": how.format(**chosen)})


def in_detect_half(document: Document) -> bool:
    """Tell on which side an undivided corpus' document falls: a function of its cluster alone."""
    return hashlib.sha256(document.cluster.encode("utf-8", "surrogatepass")).digest()[0] < 128


def _choose_splits(name: str, known: Sequence[str], wanted: Mapping[str, str]) -> dict[str, str]:
    for split, source in wanted.items():
        if split not in {"detect", "eval"}:
            raise UnknownNameError("split to map to", split, ("detect", "eval"))
        if source not in known:
            raise UnknownNameError(f"split of corpus {name!r}", source, known)
    candidates = [n for n in (*DETECT, *known) if n in known and n != wanted.get("eval")]
    detect = wanted.get("detect") or (candidates or known)[0]
    rest = [n for n in (*EVAL, *known) if n in known and n != detect]
    return {"detect": detect, "eval": wanted.get("eval") or (rest or [detect])[0]}


def _languages_of(table: Table, columns: Columns) -> dict[str, str]:
    """Return the canonical tags of a table's languages by how they are written, each once."""
    if table.language is not None and columns.language is None:
        return {table.language: table.language}
    found: dict[str, str] = {}
    for where, row in table.rows():
        written = _written(where, row, _language_column(table, where, row, columns))
        if written not in found:
            tag = _tag(where, written)
            other = next((w for w, t in found.items() if t == tag), written)
            _refuse_two_spellings(where, written, tag, other)
            if other == written:
                found[written] = tag
    return found


def _refuse_two_spellings(where: str, written: str, tag: str, before: str) -> None:
    """Raise `CorpusError` where two ways to write one language may have meant two languages."""
    if written.casefold().replace("_", "-") != before.casefold().replace("_", "-"):
        raise CorpusError(
            f"{where}: {written!r} and {before!r} are both language {tag}; expected one spelling of it, or tags that "
            "tell them apart"
        )


def _language_column(table: Table, where: str, row: Mapping[str, Any], columns: Columns) -> str:
    if columns.language is not None:
        return _required(where, row, columns.language)
    usual = [name for name in LANGUAGE_COLUMNS if name in row]
    if not usual:
        raise CorpusError(
            f"{where}: {table.doubt or 'neither the name nor a column says the language'}; expected a file such as "
            f"en.jsonl, or a column named by language_column; columns: {', '.join(map(str, row))[:200]}"
        )
    return usual[0]


def _written(where: str, row: Mapping[str, Any], column: str) -> str:
    if row[column] is None or not str(row[column]).strip():
        raise CorpusError(f"{where}: no language in column {column!r}")
    return str(row[column]).strip()


def _tag(where: str, written: str) -> str:
    with during(row=where):
        return parse_language(written)


def _is_of(language: str, table: Table, where: str, row: Mapping[str, Any], columns: Columns) -> bool:
    """Tell whether a row is of the language; `CorpusError` where file name and column say different ones."""
    if columns.language is not None or table.language is None:
        return _tag(where, _written(where, row, _language_column(table, where, row, columns))) == language
    for column in LANGUAGE_COLUMNS:
        value = row.get(column)
        other = _spoken(value) if isinstance(value, str) else None
        if other is not None and primary(other) != primary(language):
            raise CorpusError(
                f"{where}: column {column!r} says {row[column]!r}, the file's name {language}; expected one language, "
                f"or --corpus-args language_column={column}, which goes before the name"
            )
    return True


@cache
def _spoken(value: str) -> str | None:
    """Return the tag that a value of a language column is; None where it is none."""
    try:
        return parse_language(value)
    except UsageError:
        return None


def _reader(language: str, tables: Sequence[Table], columns: Columns, half: str | None) -> Reader:
    def read() -> Iterator[Document]:
        number, seen = 0, set[str]()
        for table in tables:
            for where, row in table.rows():
                if not _is_of(language, table, where, row, columns):
                    continue
                document = _document(where, row, columns, number)
                number += 1
                if document is not None and document.id in seen:
                    raise CorpusError(
                        f"{where}: id {document.id!r} is repeated in language {language!r}; expected "
                        "a unique id for every document, or another column for it (id_column)"
                    )
                seen.update([document.id] if document is not None else ())
                if document is not None and (half is None or in_detect_half(document) == (half == "detect")):
                    yield document

    return read


def _document(where: str, row: Mapping[str, Any], columns: Columns, number: int) -> Document | None:
    source, prompt = (
        _optional(where, row, given, name) for given, name in ((columns.source, "source"), (columns.prompt, "prompt"))
    )
    text = row.get(columns.text) if prompt else row[_required(where, row, columns.text)]
    if text is not None and not isinstance(text, str):
        raise CorpusError(f"{where}: column {columns.text!r} holds {reprlib.repr(text)}, expected text")
    if not (text or "").strip() and not prompt.strip():
        return None
    name = _optional(where, row, columns.id, "id") or f"row-{number:08d}"
    _refuse_halves(where, text=text or "", prompt=prompt, id=name, source=source)
    return Document(id=name, text=text or "", source=source, prompt=prompt)


def _refuse_halves(where: str, **parts: str) -> None:
    """Raise `CorpusError` for half of a surrogate pair, as a broken escape leaves it."""
    for part, text in parts.items():
        found = re.search(r"[\ud800-\udfff]", text)
        if found:
            raise CorpusError(f"{where}: the {part} holds {found[0]!r}, half of a surrogate pair; expected whole text")


def _optional(where: str, row: Mapping[str, Any], given: str | None, usual: str) -> str:
    value = row[_required(where, row, given)] if given is not None else row.get(usual)
    return "" if value is None else str(value)


def _required(where: str, row: Mapping[str, Any], column: str) -> str:
    if column not in row:
        raise CorpusError(f"{where}: no column {column!r}{nearest(column, map(str, row))}")
    return column
