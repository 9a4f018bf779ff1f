"""Records as tables in Parquet, and as a folder that `datasets.load_dataset` reads and the hub shows.

The folder has a card, four tables (`cells` by default; `summary`, `neurons`, `units`), and every record as it was
published, so that whoever loads the tables can recompute them.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from nharness.atomic import write_bytes, write_json
from nharness.cli.records_exported import TABLES, Found
from nharness.errors import OutputError, UsageError
from nharness.languages import display_name
from nharness.record.model import Record
from nharness.record.reading import copy_plain
from nharness.record.store import RECORD_NAME, inside
from nharness.record.tables import Row, to_markdown

DEFAULT = "cells"
LARGEST = 1 << 32
CARD = """---
{head}---

# What happens to each language when a detector's neurons are switched off

Measured with [nharness](https://github.com/nharness/nharness) in {languages}. Changes are edited minus intact, on the
same items.

{tables}

```python
from datasets import load_dataset

cells = load_dataset("FOLDER_OR_NAME", "cells")["train"].to_pandas()
```

{records}
`records/ID` is a record with its items and neurons: `nharness validate --deep records/ID` recomputes every number, and
`nharness leaderboard reproduce records/ID` measures it again.
"""
WHAT = {
    "cells": "the matrix: one row per task, target and language",
    "summary": "one row per record and task: the numbers of a board",
    "neurons": "one row per language: how many neurons, and in which layers",
    "units": "one row per neuron and language: layer, unit, score",
}


def write_parquet(found: Found, folder: Path) -> Sequence[Path]:
    """Write every table as `TABLE.parquet`; return the paths."""
    written = []
    for name, rows in TABLES.items():
        written.append(folder / f"{name}.parquet")
        write_bytes(written[-1], parquet(rows(found)))
    return written


def write_dataset(found: Found, folder: Path) -> Sequence[Path]:
    """Write card, tables and records into a folder that is absent or empty; return the paths.

    Raises `OutputError` for a folder that holds something, and as a file of a record cannot be read.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise OutputError(f"{folder} is not empty; choose another folder")
    written = [*write_parquet(found, folder / "data")]
    for path, record in found.items():
        place = folder / "records" / record.identity.id[:12]
        for entry in record.files:
            copy_plain(inside(path.parent, entry.name), inside(place, entry.name), max_bytes=LARGEST)
        write_json(place / RECORD_NAME, record.document())
        written.append(place / RECORD_NAME)
    write_bytes(folder / "README.md", card(list(found.values())).encode())
    return [*written, folder / "README.md"]


def push(folder: Path, repository: str) -> str:
    """Upload the folder to the hub as a dataset `ORG/NAME`; return its address.

    Raises `UsageError` for a name that is none, `OutputError` with the hub's reason where the upload fails.
    """
    check_repository(repository)
    from huggingface_hub import HfApi

    hub = HfApi()
    try:
        address = hub.create_repo(repository, repo_type="dataset", exist_ok=True)
        hub.upload_folder(repo_id=repository, folder_path=folder, repo_type="dataset")
    except Exception as error:  # the network's boundary
        raise OutputError(
            f"{folder} is written, but not uploaded to {repository}: {' '.join(str(error).split()):.300} "
            "(a token is needed: hf auth login)"
        ) from error
    return str(address)


def check_repository(name: str) -> None:
    """Raise `UsageError` for what is no name of a repository on the hub."""
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name):
        raise UsageError(f"{name!r} is no dataset of the hub; expected ORG/NAME")


def parquet(rows: Sequence[Row]) -> bytes:
    """Return rows as a Parquet file; a column that a row lacks is null there."""
    import pyarrow as pa
    from pyarrow.parquet import write_table

    names = dict.fromkeys(chain.from_iterable(rows))
    table = pa.table({name: pa.array([row.get(name) for row in rows]) for name in names})
    written = io.BytesIO()
    write_table(table, written)
    return written.getvalue()


def card(records: Sequence[Record]) -> str:
    """Return the dataset card: its head in YAML, what there is, how to read it, and that it can be recomputed."""
    tags = sorted({tag for record in records for tag in record.languages})
    tables = (DEFAULT, *(name for name in TABLES if name != DEFAULT))
    head = {
        "pretty_name": "Language neurons, tested by nharness",
        "language": sorted({tag.partition("-")[0] for tag in tags}),
        "tags": ["nharness", "language-neurons", "interpretability"],
        "configs": [
            {"config_name": name, "data_files": f"data/{name}.parquet"} | ({"default": True} if name == DEFAULT else {})
            for name in tables
        ],
    }
    rows: list[Row] = [
        {
            "record": record.identity.id[:12],
            "model": record.model.name,
            "detector": record.detector.name,
            "intervention": record.intervention.name,
            "cells": len(record.cells),
        }
        for record in records
    ]
    yaml = "".join(f"{name}: {json.dumps(value)}\n" for name, value in head.items())  # JSON is YAML
    return CARD.format(
        head=yaml,
        languages=", ".join(map(display_name, tags)),
        tables="\n".join(f"- `{name}`: {WHAT[name]}" for name in tables),
        records=to_markdown(rows),
    )
