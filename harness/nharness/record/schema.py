"""The JSON Schema (draft 2020-12) of records, generated from the models that write them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from nharness.record.model import FORMAT, Record

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
