"""What the YAML of this folder calls for its items."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import datasets

ITEMS = Path(__file__).parent / "items"


def rows(file: str, **_metadata: Any) -> dict[str, datasets.Dataset]:
    """Return the items of one gzipped JSON Lines file as the only split, `test`."""
    with gzip.open(ITEMS / file, "rt", encoding="utf-8") as lines:
        return {"test": datasets.Dataset.from_list([json.loads(line) for line in lines])}
