"""What a field of a pydantic model accepts, for people: `a whole number at least 0 and at most 1000`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError

Schema = Mapping[str, Any]
LARGEST = 2**53
"""The largest whole number that JSON holds exactly: a bound that goes without saying."""


def first_fault(model: type[BaseModel], error: ValidationError) -> tuple[tuple[str | int, ...], Any, str]:
    """Return where the first fault of `error` is (keys and list places), what was got, and what was expected."""
    first = error.errors()[0]
    where, schema = _follow(_schema(model), first["loc"])
    given = first.get("ctx", {}).get("error")
    expected = str(given) if given is not None else allowed(schema) or first["msg"].lower()
    if first["type"] == "finite_number":
        expected = expected.replace("a number", "a finite number")
    return where, first["input"], expected.removeprefix("expected ")


def unknown_key(model: type[BaseModel], error: ValidationError) -> tuple[tuple[str | int, ...], tuple[str, ...]] | None:
    """Return where the first fault is a key that does not exist, and the keys there are; None for any other fault."""
    first = error.errors()[0]
    if first["type"] != "extra_forbidden":
        return None
    _, schema = _follow(_schema(model), first["loc"][:-1])
    return first["loc"], tuple(schema.get("properties", {}))


def schema_at(model: type[BaseModel], place: str) -> Schema:
    """Return the schema of the field at a dotted place; a number in it is the place in a list."""
    parts = [int(part) if part.isdigit() else part for part in place.split(".")]
    return _follow(_schema(model), parts)[1]


def expected_at(model: type[BaseModel], place: str) -> str:
    """Return what the field at a dotted place accepts; "" when its schema does not say."""
    return allowed(schema_at(model, place))


def bounds_at(model: type[BaseModel], place: str) -> str:
    """Return the choices or the range at a dotted place in few words, such as `0 to 50`; "" without either."""
    schema = schema_at(model, place)
    schema = schema.get("items", schema)
    several = schema.get("anyOf", ())
    found = [str(each["const"]) if "const" in each else _brief(each) for each in several] or [_brief(schema)]
    return " or ".join(filter(None, found))


def allowed(schema: Schema) -> str:
    """Return what a JSON Schema without references accepts, in words; "" when it does not say."""
    return " or ".join(filter(None, map(_allowed, schema.get("anyOf", [schema]))))


@cache
def _schema(model: type[BaseModel]) -> Schema:
    return model.model_json_schema()


def _follow(schema: Schema, loc: Sequence[str | int]) -> tuple[tuple[str | int, ...], Schema]:
    """Return as much of `loc` as the schema has (pydantic adds the names of union members), and the schema there."""
    definitions = schema.get("$defs", {})
    where: list[str | int] = []
    for part in loc:
        inner = _inside(schema, part)
        if inner is None:
            break
        where.append(part)
        schema = definitions[inner["$ref"].rpartition("/")[2]] if "$ref" in inner else inner
    return tuple(where), schema


def _inside(schema: Schema, part: str | int) -> Schema | None:
    for choice in schema.get("anyOf", [schema]):
        found = choice.get("items") if isinstance(part, int) else choice.get("properties", {}).get(part)
        if found is not None:
            return dict(found)
    return None


def _allowed(schema: Schema) -> str:
    choices = _choices(schema)
    if choices:
        return f"one of {choices}" if len(schema.get("enum", ())) > 1 else choices
    if schema.get("type") == "array":
        inner = allowed(schema.get("items", {}))
        return f"a list, each {inner}" if inner else "a list"
    return " ".join(filter(None, [_TYPES.get(schema.get("type", ""), ""), _bounds(schema)]))


def _choices(schema: Schema) -> str:
    return ", ".join(map(repr, schema.get("enum", [schema["const"]] if "const" in schema else ())))


def _bounds(schema: Schema) -> str:
    return " and ".join(f"{words} {_plain(schema[key])}" for key, words in _BOUNDS.items() if key in schema)


def _brief(schema: Schema) -> str:
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    least, most = schema.get("minimum"), schema.get("maximum")
    if most == LARGEST:
        return f"at least {least}"
    return f"{_plain(least)} to {_plain(most)}" if least is not None and most is not None else _bounds(schema)


def _plain(bound: float) -> str:
    return f"{bound:g}" if abs(bound) < 1e5 else f"{bound:,.0f}"


_BOUNDS = {"exclusiveMinimum": "above", "minimum": "at least", "exclusiveMaximum": "below", "maximum": "at most"}
_TYPES = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "a text",
    "object": "a table",
}
