"""The schema document: checked in as generated, a valid draft 2020-12 schema, every field described."""

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from synthetic_records import synthetic_record

from nharness.record.schema import record_schema, schema_text

CHECKED_IN = Path(__file__).resolve().parents[3] / "leaderboard" / "schema" / "record-1.json"


def test_checked_in_schema_is_the_generated_one():
    assert CHECKED_IN.read_text(encoding="utf-8") == schema_text()


def test_is_a_valid_schema_of_its_dialect():
    Draft202012Validator.check_schema(record_schema())
    assert record_schema()["$schema"].endswith("2020-12/schema")


@pytest.mark.parametrize("name", sorted(set(record_schema()["$defs"]) - {"JsonValue"}))
def test_every_field_is_described(name):
    part = record_schema()["$defs"][name]
    assert part["description"]
    assert part["additionalProperties"] is False
    for field, schema in part["properties"].items():
        assert schema.get("description", "").endswith("."), f"{name}.{field}"


def test_every_number_has_a_range_and_every_text_a_limit():
    def walk(schema):
        if isinstance(schema, dict):
            kind = schema.get("type")
            if kind in {"number", "integer"}:
                assert {"minimum", "maximum"} <= set(schema), schema
            if kind == "string":
                assert {"maxLength", "pattern", "enum", "const"} & set(schema), schema
            for value in schema.values():
                walk(value)
        elif isinstance(schema, list):
            for value in schema:
                walk(value)

    walk(record_schema())


@pytest.mark.parametrize("seed", range(4))
def test_a_written_record_fits(seed):
    Draft202012Validator(record_schema()).validate(synthetic_record(seed=seed).document())
