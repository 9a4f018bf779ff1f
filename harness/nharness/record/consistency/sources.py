"""Identity, languages, corpus, tasks, files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from nharness.errors import UsageError
from nharness.languages import parse_language
from nharness.record.model import Record, content_id
from nharness.record.problems import Problem, pointer, shown

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=1)  # how far a clock may be ahead
_ENDINGS = {"items": (".jsonl", ".jsonl.gz"), "ladder": (".jsonl", ".jsonl.gz"), "neurons": (".safetensors",)}


def source_problems(record: Record, document: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield problems of identity, languages, corpus, tasks, targets and files."""
    yield from _identity(record, document)
    yield from _languages("/languages", record.languages)
    yield from _corpus(record)
    for index, task in enumerate(record.tasks):
        yield from _languages(pointer("tasks", index, "languages"), task.languages)
    yield from repeated("/tasks", [task.name for task in record.tasks], "task")
    yield from repeated("/targets", [target.name for target in record.targets], "target")
    yield from repeated("/files", [entry.name for entry in record.files], "file")
    yield from _files(record)
    if not 0 < record.analysis.confidence < 1:
        yield Problem("/analysis/confidence", f"confidence is {record.analysis.confidence}, expected between 0 and 1")


def repeated(where: str, names: Sequence[str], what: str) -> Iterator[Problem]:
    """Yield a problem for every repeated name."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            yield Problem(f"{where}/{index}", f"{what} {shown(name)} is listed more than once")
        seen.add(name)


def _identity(record: Record, document: Mapping[str, Any]) -> Iterator[Problem]:
    expected = content_id(document)
    if record.identity.id != expected:
        yield Problem("/identity/id", f"the content key of this record is {expected}: its content was changed")
    created = record.identity.created
    try:
        moment = datetime.strptime(created, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        yield Problem("/identity/created", f"{shown(created)} is no date and time")
    else:
        if not FIRST <= moment <= datetime.now(UTC) + AHEAD:
            yield Problem("/identity/created", f"{created} lies before nharness existed, or in the future")
    study = record.identity.study
    if study is not None and hashlib.sha256(study.text.encode("utf-8", "surrogatepass")).hexdigest() != study.digest:
        yield Problem("/identity/study/digest", "the digest is not that of the study's text")


def _languages(where: str, tags: Sequence[str]) -> Iterator[Problem]:
    yield from repeated(where, tags, "language")
    for index, tag in enumerate(tags):
        try:
            canonical = parse_language(tag)
        except (UsageError, ValueError):
            yield Problem(f"{where}/{index}", f"{shown(tag)} is no language that BCP 47 knows")
            continue
        if canonical != tag:
            yield Problem(f"{where}/{index}", f"language {shown(tag)} should be written {shown(canonical)}")


def _corpus(record: Record) -> Iterator[Problem]:
    splits = record.corpus.splits
    yield from repeated("/corpus/splits", [f"{entry.language}/{entry.split}" for entry in splits], "split")
    for index, each in enumerate(splits):
        if each.split not in {"detect", "eval"}:
            yield Problem(f"/corpus/splits/{index}/split", f"split is {shown(each.split)}, expected detect or eval")
    detected = {entry.language for entry in splits if entry.split == "detect"}
    for tag in record.languages:
        if detected and tag not in detected:
            yield Problem("/corpus/splits", f"the amount of detection text of language {shown(tag)} is not given")
    for index, entry in enumerate(record.corpus.overlap):
        if entry.language not in record.languages:
            yield Problem(f"/corpus/overlap/{index}/language", f"{shown(entry.language)} is no language of the record")


def _files(record: Record) -> Iterator[Problem]:
    listed = {entry.name: entry.sha256 for entry in record.files}
    yield from repeated("/files", [entry.role for entry in record.files], "role")
    for index, entry in enumerate(record.files):
        if not entry.name.endswith(_ENDINGS[entry.role]):
            expected = " or ".join(_ENDINGS[entry.role])
            yield Problem(f"/files/{index}/name", f"a file of {entry.role} is named *{expected}")
    neurons = record.neurons
    if (neurons.file is None) != (neurons.sha256 is None):
        yield Problem("/neurons/file", "file and sha256 of the neurons go together: both or neither")
    elif neurons.file is not None and listed.get(neurons.file) != neurons.sha256:
        yield Problem("/neurons/file", f"{shown(neurons.file)} is not under files with the same SHA-256")
