"""Parts of one recording, each a file of other text: merged into the whole."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nharness.errors import FileFormatError, UsageError, during
from nharness.statistics.merging import Merger
from nharness.statistics.table import Statistics, load


def merge_files(paths: Sequence[Path]) -> Statistics:
    """Return what the parts come to; the whole names the corpora of all of them.

    Raises `UsageError` for fewer than two files, for one that is given twice, and for parts of other models,
    tokenizers, sites or ways of recording.
    """
    if len(paths) < 2:
        raise UsageError(f"merge takes at least two statistics files; got {len(paths)}")
    tables = {path: load(path) for path in paths}
    _refuse_copies(paths)
    corpora = sorted({str(name) for table in tables.values() for name in _corpora(table)})
    merger = Merger()
    for path, table in tables.items():
        shared = {**table.provenance, "corpus": corpora[0] if len(corpora) == 1 else corpora} if corpora else {}
        with during(file=path):
            merger.add(replace(table, provenance=shared or table.provenance))
    return merger.result()


def _corpora(table: Statistics) -> Sequence[object]:
    found = table.provenance.get("corpus", ())
    return found if isinstance(found, list) else [found] if found else []


def _refuse_copies(paths: Sequence[Path]) -> None:
    seen: dict[str, Path] = {}
    for path in paths:
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise FileFormatError(f"cannot read {path}: {error.strerror}") from error
        if digest in seen:
            raise UsageError(f"{path} has the same content as {seen[digest]}; its text would count twice")
        seen[digest] = path
