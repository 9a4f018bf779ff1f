"""Corpora by name: a registered one, a local folder or file, or a hub dataset, all as the same `Corpus`."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nharness.corpora.corpus import Corpus
from nharness.corpora.files import find_tables
from nharness.corpora.hub import hub_tables, is_saved_dataset, saved_tables
from nharness.corpora.romanised import own_script, with_romanised
from nharness.corpora.tables import Columns, assemble
from nharness.errors import CorpusError, FileFormatError, UnknownNameError, UsageError
from nharness.languages import parse_language, parse_languages

Place = Path | Callable[..., Corpus]
MANIFEST = "corpus.json"


def load_corpus(
    name_or_path: str | Path,
    *,
    named: Mapping[str, Place] | None = None,
    columns: Columns | None = None,
    splits: Mapping[str, str] | None = None,
    languages: Sequence[str] = (),
    config: str | None = None,
    streaming: bool = False,
    romanised: bool = False,
) -> Corpus:
    """Return the corpus called `name_or_path`.

    Looked for in this order: a name in `named` (registered corpora: a folder, or what makes the corpus, which
    `NAME:FOLDER` tells where its text lies), a local folder or file, a dataset of the hub. A local folder holds
    `<split>/<language>.jsonl.gz` and a `corpus.json` with name, languages in order and SHA-256 of the files (this
    project's own layout), or data files of any kind that `nharness.corpora.files` reads, or a dataset written by
    `save_to_disk`.

    columns: which column is what. splits: which split of the source becomes "detect" and which "eval". languages:
    the ones that are asked for; needed where `config` has `{language}` in it. config, streaming: as in
    `datasets.load_dataset`. romanised: languages in Latin script are made of their own script's (`corpora.romanised`).
    Raises `CorpusError`, `UnknownNameError` or `FileFormatError`, each naming file and line, column or split.
    """
    remote = _Remote(tuple(languages), config, streaming, romanised)
    found = _found(str(name_or_path), named or {}, columns, splits, remote)
    return with_romanised(found, tuple(map(parse_language, languages))) if romanised else found


@dataclass(frozen=True)
class _Remote:
    """What only a corpus needs that is not read from a local folder."""

    languages: tuple[str, ...]
    config: str | None
    streaming: bool
    romanised: bool

    @property
    def sources(self) -> tuple[str, ...]:
        """The languages as they are written; of those to be romanised, the ones that they are made of."""
        tags = {written: parse_language(written) for written in self.languages} if self.romanised else {}
        return tuple(
            dict.fromkeys(
                own_script(tags[written]) if tags.get(written, "").endswith("-Latn") else written
                for written in self.languages
            )
        )


def _found(
    name: str, places: Mapping[str, Place], columns: Columns | None, splits: Mapping[str, str] | None, remote: _Remote
) -> Corpus:
    registered, mark, folder = name.partition(":")
    place = places.get(name) or (places.get(registered) if mark else None)
    if callable(place):
        return _made(place, Path(folder) if mark else None, remote.languages)
    if place is not None and mark:
        raise UsageError(f"corpus {registered} has its own text and takes no folder; got {folder}")
    path = place if place is not None else Path(name)
    chosen = columns or Columns()
    if path.exists() and not (path.is_dir() or path.is_file()):
        raise CorpusError(f"{path}: neither a folder nor a file")
    if path.exists():
        return _local(path, name if place is not None else path.stem, chosen, splits)
    if place is not None or path.suffix or name.startswith((".", "/", "~")) or _is_near(name, places):
        raise UnknownNameError("corpus (a registered name, or a folder or file)", str(path), places)
    tables, identity = hub_tables(name, config=remote.config, languages=remote.sources, streaming=remote.streaming)
    return assemble(name, tables, chosen, splits=splits, identity=identity if remote.streaming else "")


def _made(place: Callable[..., Corpus], folder: Path | None, languages: Sequence[str]) -> Corpus:
    """Call what makes a registered corpus with those of `folder` and `languages` that it takes."""
    taken = inspect.signature(place).parameters
    if folder is not None and "folder" not in taken:
        raise UsageError(f"this corpus takes no folder; got {folder}")
    given = {"folder": folder, "languages": tuple(languages)}
    return place(**{name: value for name, value in given.items() if name in taken})


def _is_near(name: str, places: Mapping[str, Place]) -> bool:
    return "/" not in name and "did you mean" in str(UnknownNameError("corpus", name, places))


def _local(path: Path, name: str, columns: Columns, splits: Mapping[str, str] | None) -> Corpus:
    if path.is_dir() and is_saved_dataset(path):
        return assemble(name, saved_tables(path), columns, splits=splits)
    manifest = _manifest(path / MANIFEST) if (path / MANIFEST).is_file() else {}
    _check_hashes(path, _hashes(path / MANIFEST, manifest))
    tables = find_tables(path, extra_splits=tuple((splits or {}).values()))
    corpus = assemble(str(manifest.get("name", name)), tables, columns, splits=splits)
    order = manifest.get("languages")
    if not order:
        return corpus
    try:
        return _ordered(corpus, parse_languages(order))
    except (UsageError, TypeError, AttributeError) as error:
        raise FileFormatError(f"{path / MANIFEST}: languages is not a list of language tags ({error})") from error


def _ordered(corpus: Corpus, tags: Sequence[str]) -> Corpus:
    rank = {tag: place for place, tag in enumerate(tags)}
    readers = {
        split: dict(sorted(found.items(), key=lambda item: (rank.get(item[0], len(rank)), item[0])))
        for split, found in corpus.readers.items()
    }
    return replace(corpus, readers=readers)


def _manifest(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FileFormatError(f"{path}: damaged, expected a JSON object with name and languages ({error})") from error
    if not isinstance(document, dict):
        raise FileFormatError(f"{path}: a {type(document).__name__}, expected a JSON object with name and languages")
    return document


def _hashes(path: Path, manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return SHA-256 by file: from `sha256: {file: hash}`, and from `splits: {split: {language: {file, sha256}}}`."""
    try:
        listed = {str(file): str(expected) for file, expected in manifest.get("sha256", {}).items()}
        for by_language in manifest.get("splits", {}).values():
            for entry in by_language.values():
                if "sha256" in entry:
                    listed[entry["file"]] = entry["sha256"]
    except (AttributeError, KeyError, TypeError) as error:
        raise FileFormatError(f"{path}: 'sha256' or 'splits' is not in the layout of a corpus ({error!r})") from error
    return listed


def _check_hashes(root: Path, hashes: Mapping[str, str]) -> None:
    for relative, expected in hashes.items():
        file = root / relative
        if not file.is_file():
            raise FileFormatError(f"{file}: no such file, though {root / MANIFEST} lists it")
        got = hashlib.sha256(file.read_bytes()).hexdigest()
        if got != expected:
            raise FileFormatError(f"{file}: its SHA-256 is {got[:12]}..., {root / MANIFEST} says {expected[:12]}...")
