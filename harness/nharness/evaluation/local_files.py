"""Serve a task's dataset from files in a folder, so that lm-eval's own task definitions run without a network.

A task names a dataset (`cambridgeltl/xcopa`) and often a configuration (`zh`). Its files are those of the folder's
subfolder `cambridgeltl/xcopa` or `xcopa`; or of the folder itself, where its own name or the file's begins with `xcopa`
(`-` and `_` left out of account). What a file is follows from the words of its path
below there: `test.zh.jsonl`, `zh/test.parquet` and `xcopa_zh_test.csv` are all the configuration `zh`, split `test`. A
file that names no split is the test split. `val`, `valid`, `dev` and `validation` are one split under four names, where
files do not tell them apart. What `kept_in` writes, `served_from` finds.

Columns: JSON, JSON Lines, CSV and Parquet name theirs; a TSV has no header and its columns are "0", "1", ... A column
mapping says what the task's fields are made of: `{"question": "0", "answer_number": "1", "answer": ""}`, where an
empty name is a field that is null in every row. Without a mapping, columns keep their names.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets

from nharness.corpora.rows import read_rows, suffix_of
from nharness.errors import UsageError, nearest
from nharness.replacing import replaced

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
ALIASES = (("train", "training"), ("validation", "val", "valid", "dev"), ("test", "devtest", "eval"))
BUILDERS = frozenset({"json", "csv", "parquet", "text"})
FILES = "files-of-tasks"
Rows = list[dict[str, Any]]
Load = Callable[..., Any]


class Splits(dict[str, datasets.Dataset]):
    """Splits by name; one that no file holds is empty rather than absent, like few-shot examples not asked for."""

    def __missing__(self, name: str) -> datasets.Dataset:
        """Return an empty split with the columns of the others."""
        some = next(iter(self.values()))
        return some.select([])


@contextmanager
def served_from(folder: Path, columns: Mapping[str, str]) -> Iterator[None]:
    """Let `datasets.load_dataset` answer from the folder while tasks are built; undone afterwards.

    Raises `UsageError` when the folder does not exist, and inside it when no file is the dataset asked for.
    """
    if not folder.is_dir():
        raise UsageError(f"--dataset-dir {folder} is not a folder")

    def load(original: Load, path: str, name: str | None, kwargs: dict[str, Any]) -> Any:
        if path in BUILDERS and "data_files" in kwargs:
            kwargs = {**kwargs, "data_files": _at_home(folder, kwargs["data_files"])}
        if path in BUILDERS or Path(path).exists():
            return original(path, name, **kwargs)
        return find(folder, path, name, columns)

    with _loading_by(load):
        yield


@dataclass
class KeptFiles:
    """What was brought into a folder.

    files: as they were written. renamed: what a task's YAML calls its data, and what finds it in the folder instead.
    """

    files: list[Path] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)


@contextmanager
def kept_in(folder: Path) -> Iterator[KeptFiles]:
    """Let `datasets.load_dataset` keep below the folder what it loads while tasks are built; undone afterwards.

    A dataset is written as `<dataset>/<configuration>/<split>.parquet`. Files that a task names itself (`dataset_path:
    json` with `data_files`) are copied to `FILES/`, and `served_from` finds them under that name.
    """
    kept = KeptFiles()

    def load(original: Load, path: str, name: str | None, kwargs: dict[str, Any]) -> Any:
        loaded = original(path, name, **kwargs)
        if path in BUILDERS:
            for text in _named_files(kwargs.get("data_files")):
                _keep_file(text, folder, kept)
            return loaded
        local = Path(path).exists()
        dataset = Path(path).resolve().name if local else path
        if local and path != dataset:
            kept.renamed[path] = dataset
        place = folder / dataset / (name or "")
        place.mkdir(parents=True, exist_ok=True)
        for split, part in loaded.items():
            part.to_parquet(str(place / f"{split}.parquet"))
            kept.files.append(place / f"{split}.parquet")
        return loaded

    with _loading_by(load):
        yield kept


def _named_files(value: Any) -> Iterator[str]:
    """Yield every file name in a `data_files` argument: a name, a list, or either by split."""
    if isinstance(value, str | Path):
        yield str(value)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _named_files(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _named_files(each)


def _keep_file(text: str, folder: Path, kept: KeptFiles) -> None:
    """Copy the file, or the files of a pattern, that a task names; those of other hosts stay where they are."""
    source = Path(text)
    pattern = not source.is_file() and "://" not in text and source.parent.is_dir()
    found = [each for each in sorted(source.parent.glob(source.name)) if each.is_file()] if pattern else [source]
    if text in kept.renamed or not all(each.is_file() for each in found):
        return
    own = hashlib.sha256(str(source.absolute().parent).encode()).hexdigest()[:8]  # tells files of one name apart
    place = folder / FILES / own
    place.mkdir(parents=True, exist_ok=True)
    for path in found:
        shutil.copy2(path, place / path.name)
        kept.files.append(place / path.name)
    kept.renamed[text] = f"{FILES}/{own}/{source.name}"


def _at_home(folder: Path, value: Any) -> Any:
    """Return a `data_files` argument with what `kept_in` renamed spelled out."""
    if isinstance(value, str):
        return str(folder / value) if value.startswith(f"{FILES}/") else value
    if isinstance(value, Mapping):
        return {split: _at_home(folder, each) for split, each in value.items()}
    return [_at_home(folder, each) for each in value] if isinstance(value, list | tuple) else value


@contextmanager
def _loading_by(load: Callable[[Load, str, str | None, dict[str, Any]], Any]) -> Iterator[None]:
    original: Load = datasets.load_dataset

    def load_dataset(path: str, name: str | None = None, **kwargs: Any) -> Any:
        return load(original, path, name, kwargs)

    with replaced(datasets, "load_dataset", load_dataset):
        yield


def find(folder: Path, dataset: str, name: str | None, columns: Mapping[str, str]) -> Splits:
    """Return a dataset's splits from the files of one configuration; `UsageError` naming what stands there if none."""
    short = dataset.rpartition("/")[2]
    own = _joined(folder.resolve().name).startswith(_joined(short))
    places = [
        *((path, folder / dataset) for path in _files(folder / dataset)),
        *((path, folder / short) for path in _files(folder / short)),
        *((path, folder) for path in _files(folder) if own or _joined(path.name).startswith(_joined(short))),
    ]
    chosen = [(path, _words(path.relative_to(place))) for path, place in places]
    matching = {path: words for path, words in chosen if name is None or name.lower() in words}
    if not matching:
        what = f"{dataset} ({name})" if name else dataset
        hint = nearest(f"test.{name}.jsonl", {path.name for path, _ in chosen}) if chosen else ""
        raise UsageError(f"--dataset-dir {folder} has no file of {what} in a folder {short!r} or under that name{hint}")
    return _splits(sorted(matching.items()), columns)


def _splits(files: list[tuple[Path, set[str]]], columns: Mapping[str, str]) -> Splits:
    """Return every file's rows under the split that it names, and under that split's other names while those are free.

    A split of no usual name is the stem of its file.
    """
    found: dict[str, Rows] = {}
    for place, (path, words) in enumerate(files):
        twin = next((other for other, said in files[:place] if said == words), None)
        if twin is not None:
            raise UsageError(f"{twin} and {path} have the same name, so their rows would count twice; remove one")
        rows = [_mapped(dict(row), columns, path) for _, row in read_rows(path, header=False)]
        usual = [name for alias in ALIASES for name in alias if name in words]
        for name in {usual[0] if usual else "test", _stem(path.name)}:
            found.setdefault(name, []).extend(rows)
    result = Splits({name: datasets.Dataset.from_list(rows) for name, rows in found.items()})
    for alias in ALIASES:
        held = [name for name in alias if name in found]
        for name in alias if held else ():
            result.setdefault(name, result[held[0]])
    return result


def _mapped(row: dict[str, Any], columns: Mapping[str, str], path: Path) -> dict[str, Any]:
    if not columns or not any(source in row for source in columns.values()):
        return row
    for source in columns.values():
        if source and source not in row:
            raise UsageError(f"{path}: no column {source!r}{nearest(source, row)}")
    return {**row, **{field: row[source] if source else None for field, source in columns.items()}}


def _words(path: Path) -> set[str]:
    """Return the words of a path between `.`, `-` and `_`, those between `.` and `-` (`zho_hans`), and its stems."""
    words: set[str] = set()
    for part in path.parts:
        stem = _stem(part)
        words |= {stem, *re.split(r"[.\-]", stem), *re.split(r"[._\-]", stem)}
    return words


def _stem(name: str) -> str:
    return re.sub(r"\.(gz|jsonl|ndjson|json|csv|tsv|parquet)", "", name.lower())


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if _kind(path)] if folder.is_dir() else []


def _joined(name: str) -> str:
    return re.sub(r"[-_ ]", "", name.lower())


def _kind(path: Path) -> str:
    suffix = suffix_of(path.name)
    return suffix if suffix in SUFFIXES and path.is_file() else ""
