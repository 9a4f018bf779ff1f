"""The items of the YAML tasks in this folder."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import datasets

ITEMS = Path(__file__).parent / "items"


def rows(file: str, **_metadata: Any) -> dict[str, datasets.Dataset]:
    """Return the items of one gzipped JSON Lines file: the questions, `test`, and the examples for them, `fewshot`."""
    found: dict[str, list[dict[str, Any]]] = {"test": [], "fewshot": []}
    with gzip.open(ITEMS / file, "rt", encoding="utf-8") as lines:
        for line in lines:
            item = json.loads(line)
            found[item.pop("split", "test")].append(item)
    return {split: datasets.Dataset.from_list(items) for split, items in found.items()}
