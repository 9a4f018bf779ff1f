"""The methods page names every field of the schema with its meaning, type and range."""

import html

from nharness.record.schema import record_schema
from nharness_leaderboard.site.fields import fields, kind


def test_every_property_of_the_schema_is_described_once():
    schema = record_schema()
    expected = {("Record", name) for name in schema["properties"]}
    expected |= {(part, name) for part, found in schema["$defs"].items() for name in found.get("properties", {})}
    listed = [(part["name"], name) for part in fields() for name, _, _ in part["fields"]]
    assert len(listed) == len(set(listed))
    assert set(listed) == expected
    assert all(meaning and shape for part in fields() for _, meaning, shape in part["fields"])


def test_types_and_ranges_in_words():
    assert kind({"type": "number", "minimum": 0, "maximum": 1}) == "number, 0 to 1"
    assert kind({"type": "number", "minimum": -1e300, "maximum": 1e300}) == "number"
    assert (
        kind({"anyOf": [{"type": "integer", "minimum": 0, "maximum": 2**53}, {"type": "null"}]})
        == "whole number, at least 0; or null"
    )
    assert (
        kind({"type": "array", "prefixItems": [{"type": "boolean"}, {"type": "null"}]}) == "list of true or false, null"
    )
    assert kind({"type": "object", "additionalProperties": {"$ref": "#/$defs/Estimate"}, "maxProperties": 50}) == (
        "object of Estimate by name, at most 50"
    )
    assert kind({"enum": ["a", "b"], "type": "string"}) == "one of a, b"


def test_the_page_holds_them(site):
    page = html.unescape((site / "methods.html").read_text(encoding="utf-8"))
    for part in fields():
        for name, meaning, shape in part["fields"]:
            assert f"<code>{name}</code></th><td>{meaning}</td><td>{shape}</td>" in page
