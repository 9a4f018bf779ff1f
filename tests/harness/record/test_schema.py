"""The schema document: checked in as generated, a valid draft 2020-12 schema, every field described."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from nharness.record.schema import (
    asserted_fields,
    comparison_schema_text,
    record_schema,
    reproduction_schema_text,
    schema_text,
)
from synthetic_records import synthetic_record

SCHEMAS = Path(__file__).resolve().parents[3] / "leaderboard" / "schema"


def test_checked_in_schema_is_the_generated_one():
    """Where it is not, `PYTHONPATH=tests/leaderboard python tests/harness/record/test_schema.py` writes it anew."""
    assert (SCHEMAS / "record-2.json").read_text(encoding="utf-8") == schema_text()
    assert (SCHEMAS / "reproduction-1.json").read_text(encoding="utf-8") == reproduction_schema_text()
    assert (SCHEMAS / "comparison-1.json").read_text(encoding="utf-8") == comparison_schema_text()


def test_what_no_file_tells_is_marked_as_asserted_and_nothing_else():
    """Files beside a record hold neurons and items: all else about model, text, code and machine is somebody's word."""
    schema = json.loads(schema_text())
    parts = schema["$defs"]
    assert all(parts["Model"]["properties"][name].get("x-asserted") for name in ("name", "fingerprint", "dtype"))
    assert not parts["Model"]["properties"]["layer_widths"].get("x-asserted")
    assert all(schema["properties"][name].get("x-asserted") for name in ("cost", "environment"))
    assert not schema["properties"]["warnings"].get("x-asserted")  # they follow from the record
    assert not {name for name, field in parts["Neurons"]["properties"].items() if field.get("x-asserted")}
    assert not {name for name, field in parts["TaskSummary"]["properties"].items() if field.get("x-asserted")}
    fields = asserted_fields()
    assert "created" in fields["identity"]
    assert "splits[].tokens" in fields["corpus"]
    assert "hinge.share" in fields["targets"]
    assert fields[""] == ["ground_truth", "stability", "cost", "environment"]


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


if __name__ == "__main__":
    (SCHEMAS / "record-2.json").write_text(schema_text(), encoding="utf-8")
    (SCHEMAS / "reproduction-1.json").write_text(reproduction_schema_text(), encoding="utf-8")
    (SCHEMAS / "comparison-1.json").write_text(comparison_schema_text(), encoding="utf-8")
