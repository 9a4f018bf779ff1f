"""Forged records: one value after the other is changed and the id renewed, as a cheat would."""

import copy

from documents import leaves
from narrowing import present
from nharness.record.model import content_id
from nharness.record.schema import asserted_fields
from nharness.record.validate import validate_document
from nharness_leaderboard.deep import each_problem

NOT_CONTENT = {("format",), ("identity", "id")}


def unproven(record, folder, parts=None, every=1):
    """Return the places whose change no check finds, though the schema does not mark them as asserted.

    One place of a kind is tried, with another value and with none; parts: of the record that are tried, None for all.
    every: of how many kinds one is tried.
    """
    document = record.document()
    passed, seen = [], set(NOT_CONTENT)
    for place, value in leaves(document):
        kind = tuple("[]" if isinstance(name, int) or name in record.languages else name for name in place)
        if {kind, place} & seen or value is None or place[0] == "files" or (parts and place[0] not in parts):
            continue
        seen.add(kind)
        if is_asserted(kind) or len(seen) % every:
            continue
        passed += [
            f"{'/'.join(map(str, place))}: {lie}"
            for lie in (other(value), None)
            if passes(document, place, lie, folder)
        ]
    return passed


def other(value):
    """Return another value of the same type that fits the same field."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value / 2 if value else 0.25
    return {"ok": "failed", "specific": "general"}.get(value) or f"{'0' if value[:1] != '0' else '1'}{value[1:]}"


def is_asserted(kind):
    part, *rest = kind
    names = ".".join(rest).replace(".[]", "[]").removeprefix("[].")
    fields = asserted_fields()
    return part in fields[""] or any(
        names == field or names.startswith((f"{field}.", f"{field}[")) for field in fields.get(part, ())
    )


def passes(document, place, value, folder):
    """Tell whether a record with another value at a place, under a new id, is valid and agrees with its files."""
    lie = copy.deepcopy(document)
    at = lie
    for name in place[:-1]:
        at = at[name]
    at[place[-1]] = value
    lie["identity"]["id"] = content_id(lie)
    found, problems = validate_document(lie, schema=False)
    return not problems and next(each_problem(present(found), folder), None) is None
