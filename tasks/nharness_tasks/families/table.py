"""Read `families.toml`: a table per family, language codes as `tag=code` pairs."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from nharness.task import CodedFamily

TABLE = Path(__file__).with_name("families.toml")
OWN = Path(__file__).parent.parent / "lm_eval"


def families() -> tuple[CodedFamily, ...]:
    """Return every family of the table, in its order."""
    with TABLE.open("rb") as file:
        table = tomllib.load(file)
    return tuple(_family(name, fields) for name, fields in table.items())


def own_families() -> tuple[CodedFamily, ...]:
    """Return the families whose YAML and text are in this package, so that they run without a network."""
    with (OWN / "families.toml").open("rb") as file:
        table = tomllib.load(file)
    return tuple(_family(name, {**fields, "include_path": str(OWN)}) for name, fields in table.items())


def _family(name: str, fields: dict[str, Any]) -> CodedFamily:
    pairs = (pair.partition("=") for pair in fields.pop("codes").split())
    return CodedFamily(name=name, codes={tag: code or tag for tag, _, code in pairs}, **fields)
