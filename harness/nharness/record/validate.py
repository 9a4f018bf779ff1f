"""Every problem of a record: of its text, against the schema, between its parts, and of the files beside it.

Nothing in a record can make this raise, hang or fill the memory: sizes are looked at before parsing, files before
reading. What is found is a list of `Problem`; an empty list is a valid record.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from pydantic import ValidationError

from nharness.errors import FileFormatError
from nharness.record.consistency import inconsistencies
from nharness.record.loading import MAX_BYTES, parse
from nharness.record.migrate import FORMATS, is_older, migrate
from nharness.record.model import FORMAT, Record, content_id
from nharness.record.problems import Problem, pointer, shown, unique
from nharness.record.reading import read_plain, sha256_plain, size_of
from nharness.record.schema import record_schema
from nharness.record.store import inside

_EXPECTED = {
    "missing": "this required field is absent",
    "extra_forbidden": "no field of this name exists in a record",
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "float_type": "expected a number",
    "bool_type": "expected true or false",
    "tuple_type": "expected a list",
    "list_type": "expected a list",
    "dict_type": "expected an object",
    "model_type": "expected an object",
    "model_attributes_type": "expected an object",
    "finite_number": "expected a finite number",
}


def validate_file(path: Path, *, files: bool = True, schema: bool = True) -> tuple[Record | None, list[Problem]]:
    """Return the record (None when it is not valid against the schema) and all problems of a file.

    files: also compare size and SHA-256 of the files that the record lists with those beside it.
    schema: also run the JSON Schema itself. The models it is generated from refuse what it refuses, so that publishing
        many records can go without.
    """
    try:
        content = read_plain(path, max_bytes=MAX_BYTES)
    except FileFormatError as error:
        return None, [Problem("", str(error).removeprefix(f"{path}: "))]
    record, problems = validate_bytes(content, schema=schema)
    if record is not None and files:
        problems = unique([*problems, *file_problems(record, path.parent)])
    return record, problems


def validate_bytes(content: bytes, *, schema: bool = True) -> tuple[Record | None, list[Problem]]:
    """Return the record (None when it is not valid against the schema) and all problems of a record's text."""
    document, problems = parse(content)
    if document is None and problems:
        return None, problems
    record, more = validate_document(document, schema=schema)
    return (None if problems else record), unique([*problems, *more])


def validate_document(document: Any, *, schema: bool = True) -> tuple[Record | None, list[Problem]]:
    """Return the record (None when it is not valid against the schema) and all problems of a parsed document.

    A document of an older format is brought up to this one first, if it is as it was written.
    """
    wrong = _format_problem(document)
    if wrong is None and is_older(document["format"]):
        wrong = _changed_problem(document)
        document = document if wrong else migrate(document)
    if wrong is not None:
        return None, [wrong]
    record, problems = _build(document)
    if schema:
        found = {problem.pointer for problem in problems}
        problems += [p for p in schema_problems(document) if not any(_covers(known, p.pointer) for known in found)]
    if record is None or problems:
        return None, unique(problems)
    return record, unique(inconsistencies(record, document))


def load_record(path: Path, *, files: bool = False) -> Record:
    """Return a valid record; raises `FileFormatError` with the first problems otherwise, or where there is no file."""
    if not os.path.lexists(path):
        raise FileFormatError(f"{path}: no such file; expected a record")
    record, problems = validate_file(path, files=files)
    if record is None or problems:
        first = "; ".join(map(str, problems[:3]))
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise FileFormatError(f"{path} is not a valid record: {first}{more}; see: nharness validate {path}")
    return record


def schema_problems(document: Any) -> Iterator[Problem]:
    """Yield what the JSON Schema itself finds, one problem a place."""
    for error in _validator().iter_errors(document):
        message = shown(error.message, limit=200)[1:-1]
        yield Problem(pointer(*error.absolute_path), f"does not fit the schema: {message}")


def file_problems(record: Record, folder: Path) -> Iterator[Problem]:
    """Yield a problem for every listed file that is absent or is not the one the record was written with."""
    for index, entry in enumerate(record.files):
        where = pointer("files", index)
        try:
            path = inside(folder, entry.name)
            if not os.path.lexists(path):
                yield Problem(where, f"file {shown(entry.name)} is not beside the record")
                continue
            size = size_of(path, max_bytes=sys.maxsize)
            if size != entry.bytes:
                yield Problem(where, f"file {shown(entry.name)} has {size} bytes, the record says {entry.bytes}")
            elif sha256_plain(path, max_bytes=size) != entry.sha256:
                yield Problem(where, f"file {shown(entry.name)} is not the one the record names: its SHA-256 differs")
        except FileFormatError as error:
            yield Problem(where, str(error))


def _format_problem(document: Any) -> Problem | None:
    if not isinstance(document, dict):
        return Problem("", f"expected an object with the format {FORMAT!r}, got {shown(document)}")
    got = document.get("format")
    if got == FORMAT or is_older(got):
        return None
    return Problem("/format", f"format is {shown(got)}, expected {FORMAT!r} or an older one of {', '.join(FORMATS)}")


def _changed_problem(document: dict[str, Any]) -> Problem | None:
    """Return a problem for a document of an older format that has another content key than it names, or None."""
    identity = document.get("identity")
    try:
        expected = content_id(document)
    except (ValueError, RecursionError, OverflowError) as error:
        return Problem("", f"cannot be read as a record: {shown(str(error))}")
    if isinstance(identity, dict) and identity.get("id") == expected:
        return None
    return Problem("/identity/id", f"the content key of this record is {expected}: its content was changed")


def _build(document: Any) -> tuple[Record | None, list[Problem]]:
    try:
        return Record.model_validate(document), []
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=True)
        return None, [_problem(detail) for detail in details]
    except (RecursionError, OverflowError) as error:
        return None, [Problem("", f"cannot be read as a record: {shown(str(error))}")]


def _problem(detail: Any) -> Problem:
    place = [part for part in detail["loc"] if part != "[key]"]
    kind, got = str(detail["type"]), detail.get("input")
    expected = _EXPECTED.get(kind) or _sentence(str(detail["msg"]))
    if kind in {"missing", "extra_forbidden"}:
        return Problem(pointer(*place), expected)
    return Problem(pointer(*place), f"{expected}, got {_short(got)}")


def _sentence(message: str) -> str:
    text = message.replace("Input should be", "expected").replace("String should", "text should")
    return text.replace("a valid ", "").replace("Tuple should", "the list should").replace("\n", " ")


def _short(value: Any) -> str:
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and abs(value) > 10**30:
        return "a very large whole number"
    return shown(value)


def _covers(known: str, place: str) -> bool:
    return known == place or known.startswith(place + "/") or place.startswith(known + "/")


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(record_schema())
