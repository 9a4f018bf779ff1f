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

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets

from nharness.corpora.rows import read_rows, suffix_of
from nharness.errors import UsageError, nearest

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
ALIASES = (("train", "training"), ("validation", "val", "valid", "dev"), ("test", "devtest", "eval"))
BUILDERS = frozenset({"json", "csv", "parquet", "text"})
Rows = list[dict[str, Any]]
Load = Callable[..., Any]


class Splits(dict[str, datasets.Dataset]):
    """Splits by name; one that no file holds is empty rather than absent, as few-shot examples nobody asked for are."""

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
        if path in BUILDERS or Path(path).exists():
            return original(path, name, **kwargs)
        return find(folder, path, name, columns)

    with _loading_by(load):
        yield


@contextmanager
def kept_in(folder: Path) -> Iterator[list[Path]]:
    """Let `datasets.load_dataset` keep below the folder what it loads while tasks are built; undone afterwards.

    Gives the files as they are written, `<dataset>/<configuration>/<split>.parquet`. Files that a task names itself
    (`dataset_path: json` and the like) are the task's own and stay where they are.
    """
    files: list[Path] = []

    def load(original: Load, path: str, name: str | None, kwargs: dict[str, Any]) -> Any:
        loaded = original(path, name, **kwargs)
        if path not in BUILDERS:
            place = folder / (Path(path).resolve().name if Path(path).exists() else path) / (name or "")
            place.mkdir(parents=True, exist_ok=True)
            for split, part in loaded.items():
                part.to_parquet(str(place / f"{split}.parquet"))
                files.append(place / f"{split}.parquet")
        return loaded

    with _loading_by(load):
        yield files


@contextmanager
def _loading_by(load: Callable[[Load, str, str | None, dict[str, Any]], Any]) -> Iterator[None]:
    original: Load = datasets.load_dataset

    def replaced(path: str, name: str | None = None, **kwargs: Any) -> Any:
        return load(original, path, name, kwargs)

    datasets.load_dataset = replaced
    try:
        yield
    finally:
        datasets.load_dataset = original


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
        raise UsageError(f"--dataset-dir {folder} has no file of {what} in a folder {short!r} or so named{hint}")
    return _splits(sorted(matching.items()), columns)


def _splits(files: list[tuple[Path, set[str]]], columns: Mapping[str, str]) -> Splits:
    """Return every file's rows under the split that it names, and under that split's other names while those are free.

    A split of no usual name is the stem of its file.
    """
    found: dict[str, Rows] = {}
    for place, (path, words) in enumerate(files):
        twin = next((other for other, said in files[:place] if said == words), None)
        if twin is not None:
            raise UsageError(f"{twin} and {path} have one name, so that their rows would count twice; remove one")
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
