"""A folder of data files as tables: which files are data, what their names say, and that no two are one.

Names say split and language anywhere in the path below the corpus folder (see `names`). Two files of one language and
split are pieces of one text only if nothing but numbers tells them apart; everything else is refused with what to do:
`en.jsonl` beside `en.jsonl.gz`, `de.raw.txt` beside `de.tok.txt`, a piece of several that is missing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from nharness.corpora.names import Meaning, meaning
from nharness.corpora.rows import PACKED, SUFFIXES, first_gap, read_rows, suffix_of
from nharness.corpora.tables import Table
from nharness.errors import CorpusError

MOST_FILES = 20_000
PIECE = re.compile(r"(\d+)-of-(\d+)")
NO_DATA = frozenset({"corpus", "readme", "license", "licence", "notice", "copying", "changelog", "dataset_infos"})


def find_tables(root: Path, *, extra_splits: Sequence[str] = ()) -> list[Table]:
    """Return one table a data file under the folder `root` (or the file `root`), sorted by path.

    extra_splits: names of splits beyond the usual ones. Raises `CorpusError` when there is no data file, more than a
    corpus has, or two files that may hold the same text.
    """
    if root.is_file():
        _refuse_packed(root.name)
        found = [(root, meaning(_stem(root.name), extra_splits))]
    else:
        paths = sorted(data_files(root))
        found = [(path, meaning(_stem(path.relative_to(root).as_posix()), extra_splits)) for path in paths]
    if not found:
        raise CorpusError(f"{root}: no data file; expected files such as en.jsonl with one of {', '.join(SUFFIXES)}")
    _refuse_twins(root, found)
    _refuse_missing_pieces(root, [path for path, _ in found])
    _refuse_mixed_text(found)
    return [Table(str(path), said.split, said.language, partial(read_rows, path), said.doubt) for path, said in found]


def data_files(root: Path) -> Iterator[Path]:
    """Yield the data files below a folder, links followed, hidden ones and those that begin with `_` left out.

    Raises `CorpusError` for a folder that cannot be read, for archives of a kind that is not read, and beyond
    `MOST_FILES` files of any kind.
    """
    if root.resolve() == Path(root.resolve().anchor):
        raise CorpusError(f"{root}: the whole file system; expected a folder with the files of one corpus")
    seen, count = set[tuple[int, int]](), 0
    for folder, below, names in os.walk(root, followlinks=True, onerror=_refuse):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            below.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        below[:] = sorted(name for name in below if not name.startswith((".", "_")))
        count += len(names) + len(below)
        if count > MOST_FILES:
            raise CorpusError(f"{root}: more than {MOST_FILES:,} files; expected a folder with the files of one corpus")
        for name in names:
            if _is_data(name) and Path(folder, name).is_file():
                yield Path(folder, name)


def _refuse(error: OSError) -> None:
    raise CorpusError(f"{error.filename}: cannot be read ({error.strerror})") from error


def _is_data(name: str) -> bool:
    if name.startswith((".", "_")) or _stem(name).lower() in NO_DATA:
        return False
    _refuse_packed(name)
    return suffix_of(name) in SUFFIXES


def _refuse_packed(name: str) -> None:
    inner, end = Path(name).stem, Path(name).suffix.lower()
    if end in PACKED and suffix_of(inner) in SUFFIXES:
        raise CorpusError(f"{name}: compressed in an unsupported way; expected {inner} or {inner}.gz")


def _stem(name: str) -> str:
    plain = name[:-3] if name.lower().endswith(".gz") else name
    return plain[: len(plain) - len(suffix_of(plain))]


def _refuse_twins(root: Path, found: Sequence[tuple[Path, Meaning]]) -> None:
    groups: dict[tuple[str | None, str | None], dict[tuple[str, ...], tuple[Path, Meaning]]] = {}
    for path, said in found:
        group = groups.setdefault((said.split, said.language), {})
        other, its = next(iter(group.values()), (path, said))
        same = group.get(said.digits)
        if same is not None or its.rest != said.rest:
            first = same[0] if same is not None else other
            what = f"of {said.language}" if said.language else "without a language in their names"
            raise CorpusError(
                f"{first.relative_to(root)} and {path.relative_to(root)} are both "
                f"{what}{f', split {said.split}' if said.split else ', no split named'}; expected one file per "
                "language and split, or parts that differ in a number (en-1.jsonl, en-2.jsonl): rename, join or "
                "remove one"
            )
        group[said.digits] = (path, said)


def _refuse_missing_pieces(root: Path, paths: Sequence[Path]) -> None:
    pieces: dict[tuple[Path, str], set[int]] = {}
    for path in paths:
        numbered = PIECE.search(path.name)
        if numbered is not None:
            pieces.setdefault((path.parent, PIECE.sub(r"*-of-\2", path.name)), set()).add(int(numbered[1]))
    for (folder, name), numbers in pieces.items():
        expected = int(name.partition("*-of-")[2].partition(".")[0])
        if len(numbers) < expected:
            raise CorpusError(f"{root}: {(folder / name).relative_to(root)} has {len(numbers)} of its {expected} parts")


def _refuse_mixed_text(found: Sequence[tuple[Path, Meaning]]) -> None:
    """Refuse plain text that has a document per line in one file and paragraphs in another of the split."""
    gaps: dict[str | None, dict[Path, int | None]] = {}
    for path, said in found:
        if suffix_of(path.name) == ".txt":
            gaps.setdefault(said.split, {})[path] = first_gap(path)
    for by_path in gaps.values():
        lines = next((path for path, gap in by_path.items() if gap is None), None)
        paragraphs = next((path for path, gap in by_path.items() if gap is not None), None)
        if lines is not None and paragraphs is not None:
            raise CorpusError(
                f"{paragraphs} line {by_path[paragraphs]}: an empty line, so that paragraphs are documents, while "
                f"{lines} has none and a document per line; expected empty lines between documents in all files or in "
                "none, or JSON Lines"
            )
