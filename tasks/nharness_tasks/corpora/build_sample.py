"""Build the sample corpus again: `python -m nharness_tasks.corpora.build_sample`.

Writes `<split>/<language>.jsonl.gz` (a document per line: id, text, source), `corpus.json` (the content, with the
SHA-256 of every file) and `NOTICE`. The same sources give the same documents in the same order.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nharness_tasks.corpora.babel_text import splits
from nharness_tasks.corpora.documents import Document, parallel_documents
from nharness_tasks.corpora.fetch import debian_version
from nharness_tasks.corpora.libreoffice import package_of
from nharness_tasks.corpora.licences import NOTICE, licences
from nharness_tasks.corpora.pages import LANGUAGES
from nharness_tasks.corpora.shipped import FOLDER

NAME = "sample"
VERSION = "1"


def build(work: Path, folder: Path) -> None:
    """Fetch the sources into `work` and write the corpus to `folder`."""
    text = splits(work)
    parts = {"detect": parallel_documents(text.detect), "eval": parallel_documents(text.eval)}
    described = {
        "name": NAME,
        "version": VERSION,
        "languages": list(LANGUAGES),
        "parallel": True,
        "licences": licences(debian_version(package_of("en"), work)),
        "splits": {split: _write_split(folder, split, documents) for split, documents in parts.items()},
    }
    (folder / "corpus.json").write_text(json.dumps(described, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "NOTICE").write_text(NOTICE, encoding="utf-8")


def _write_split(folder: Path, split: str, documents: dict[str, list[Document]]) -> dict[str, dict[str, Any]]:
    (folder / split).mkdir(parents=True, exist_ok=True)
    return {language: _write(folder, f"{split}/{language}.jsonl.gz", found) for language, found in documents.items()}


def _write(folder: Path, name: str, documents: list[Document]) -> dict[str, Any]:
    lines = "".join(json.dumps(asdict(document), ensure_ascii=False) + "\n" for document in documents)
    packed = gzip.compress(lines.encode("utf-8"), compresslevel=9, mtime=0)
    (folder / name).write_bytes(packed)
    return {
        "file": name,
        "documents": len(documents),
        "characters": sum(len(document.text) for document in documents),
        "bytes": sum(len(document.text.encode("utf-8")) for document in documents),
        "sha256": hashlib.sha256(packed).hexdigest(),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("babel-work"), help="folder for downloads")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the corpus")
    options = parser.parse_args()
    build(options.work, options.out)


if __name__ == "__main__":
    main()
