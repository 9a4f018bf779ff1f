"""Every field of a record, read from the JSON Schema: its meaning with unit, and its type with range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nharness.record.schema import record_schema

LARGEST, WHOLE = 1e300, 2**53
_PLAIN = {"number": "number", "integer": "whole number", "string": "text", "boolean": "true or false", "null": "null"}
Schema = Mapping[str, Any]


def fields() -> list[dict[str, Any]]:
    """Return the parts of the schema, the record first: name, description, and (field, meaning, type) of each field."""
    schema = record_schema()
    parts = {"Record": schema, **{name: part for name, part in schema["$defs"].items() if "properties" in part}}
    return [
        {
            "name": name,
            "description": part["description"],
            "fields": [(field, _meaning(value, parts), kind(value)) for field, value in part["properties"].items()],
        }
        for name, part in parts.items()
    ]


def _meaning(schema: Schema, parts: Mapping[str, Schema]) -> str:
    """Return a field's description; empty if it only repeats that of the part it holds."""
    return str(schema.get("description") or parts[kind(schema)]["description"])


def kind(schema: Schema) -> str:
    """Return a type in words, with its range."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return "any JSON value" if name == "JsonValue" else name
    if "anyOf" in schema:
        return "; or ".join(dict.fromkeys(map(kind, schema["anyOf"])))
    if "const" in schema:
        return repr(schema["const"])
    if "enum" in schema:
        return "one of " + ", ".join(schema["enum"])
    made = {"array": _array, "object": _object}.get(str(schema.get("type")))
    return made(schema) if made else _PLAIN[str(schema["type"])] + _range(schema)


def _array(schema: Schema) -> str:
    if "prefixItems" in schema:
        return "list of " + ", ".join(map(kind, schema["prefixItems"]))
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    size = f", {least} to {most:,} of them" if most else f", at least {least}" if least else ""
    return f"list of {kind(schema['items'])}{size}"


def _object(schema: Schema) -> str:
    named: Mapping[str, Schema] = schema.get("patternProperties", {})
    values: Schema = schema.get("additionalProperties") or next(iter(named.values()), {})
    most = f", at most {schema['maxProperties']:,}" if "maxProperties" in schema else ""
    return f"object of {kind(values) if values else 'any JSON value'} by name{most}"


def _range(schema: Schema) -> str:
    if schema["type"] == "string":
        most = schema.get("maxLength")
        return f", at most {most:,} characters" if most else f" of the form {schema['pattern']}"
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None or high is None or low == -LARGEST:
        return ""
    return f", at least {low:g}" if high in {LARGEST, WHOLE} else f", {low:g} to {high:g}"
