"""Reading the sample corpus that is shipped beside this module."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from nharness_tasks.corpora.documents import Document

FOLDER = Path(__file__).parent / "sample"


def documents(split: str, language: str) -> list[Document]:
    """The documents of `detect` or `eval` in this language, in the order of the file."""
    with gzip.open(FOLDER / split / f"{language}.jsonl.gz", "rt", encoding="utf-8", newline="\n") as lines:
        return [Document(**json.loads(line)) for line in lines]
