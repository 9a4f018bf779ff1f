"""The JSON Schema (draft 2020-12) of records, generated from the models that write them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from nharness.record.comparison import COMPARISON_FORMAT, Comparison
from nharness.record.model import FORMAT, Record
from nharness.record.reproduction import REPRODUCTION_FORMAT, Reproduction

DIALECT = "https://json-schema.org/draft/2020-12/schema"


@cache
def record_schema() -> dict[str, Any]:
    """Return the schema document; every property has a description with unit and range."""
    schema = Record.model_json_schema(mode="validation")
    head = {"$schema": DIALECT, "$id": f"urn:{FORMAT.replace('/', ':')}", "title": f"nharness record ({FORMAT})"}
    return head | {name: value for name, value in schema.items() if name != "title"}


def schema_text() -> str:
    """Return the schema as it is checked in under `leaderboard/schema/`."""
    return json.dumps(record_schema(), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def reproduction_schema_text() -> str:
    """Return the schema of reproductions as it is checked in under `leaderboard/schema/`."""
    head = {"$schema": DIALECT, "$id": f"urn:{REPRODUCTION_FORMAT.replace('/', ':')}"}
    schema = head | Reproduction.model_json_schema(mode="validation")
    return json.dumps(schema, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def comparison_schema_text() -> str:
    """Return the schema of comparisons as it is checked in under `leaderboard/schema/`."""
    head = {"$schema": DIALECT, "$id": f"urn:{COMPARISON_FORMAT.replace('/', ':')}"}
    schema = head | Comparison.model_json_schema(mode="validation")
    return json.dumps(schema, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def asserted_fields() -> dict[str, list[str]]:
    """Return, per part of a record, the fields that no file beside it gives, as the schema marks them.

    A field inside another is written `splits[].tokens`; one that is asserted as a whole is not looked into. The fields
    of the record itself stand under "".
    """
    schema = record_schema()
    found: dict[str, list[str]] = {"": []}
    for part, field in schema["properties"].items():
        if field.get("x-asserted"):
            found[""].append(part)
        elif names := [name.removeprefix("[].") for name in _asserted(field, schema["$defs"])]:
            found[part] = names
    return found


def asserted_table() -> str:
    """Return the same as the Markdown table that `docs/results.md` shows."""
    rows = [
        f"| `{part or 'record'}` | {', '.join(f'`{n}`' for n in names)} |" for part, names in asserted_fields().items()
    ]
    return "\n".join(["| part | asserted fields |", "|---|---|", *rows]) + "\n"


def _asserted(field: dict[str, Any], parts: dict[str, Any], place: str = "") -> Iterator[str]:
    """Yield the places of marked fields below one, through lists, objects by name and alternatives."""
    for choice in (field, *field.get("anyOf", ())):
        target = parts.get(str(choice.get("$ref", "")).rpartition("/")[2])
        for name, inner in (target or {}).get("properties", {}).items():
            where = f"{place}.{name}" if place else name
            if inner.get("x-asserted"):
                yield where
            else:
                yield from _asserted(inner, parts, where)
        by_name = choice.get("patternProperties", {})
        within = [choice.get("items"), choice.get("additionalProperties"), *by_name.values()]
        for inner in within:
            if isinstance(inner, dict):
                yield from _asserted(inner, parts, f"{place}[]")
