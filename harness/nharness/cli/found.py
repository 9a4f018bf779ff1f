"""Records and neurons files by the folder they are in: of a run, of a record, or the file itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nharness.errors import FileFormatError, UsageError

PATTERNS = ("record.json", "records/*/record.json", "*/record.json", "*/records/*/record.json")
NEURONS = "neurons.safetensors"


def record_files(path: Path) -> list[Path]:
    """Return the record files of a run, study or record folder, or the file.

    Raises `FileFormatError` when there is none.
    """
    if path.is_file():
        return [path]
    for pattern in PATTERNS:
        files = sorted(path.glob(pattern)) if path.is_dir() else []
        if files:
            return files
    raise FileFormatError(f"{path}: no record; expected a run folder, a record folder, or a record file")


def all_records(paths: Sequence[Path]) -> list[Path]:
    """Return the record files of all these paths, in order."""
    return [file for path in paths for file in record_files(path)]


def neurons_file(path: Path) -> Path:
    """Return a neurons file, or the one of a run or record folder; raises `UsageError` when there are several."""
    if path.suffix == ".safetensors" or not path.is_dir():
        return path
    return _only([file.parent for file in record_files(path)], path) / NEURONS


def record_pairs(first: Path, second: Path) -> Sequence[tuple[Path, Path]]:
    """Return the records to compare: one of each, or of two runs those of one detector and intervention.

    Raises `UsageError` when one side has several and the other has none that is called alike.
    """
    here, there = record_files(first), record_files(second)
    if len(here) == len(there) == 1:
        return [(here[0], there[0])]
    others = {file.parent.name: file for file in there}
    pairs = [(file, others[file.parent.name]) for file in here if file.parent.name in others]
    if not pairs:
        which = first if len(here) > 1 else second
        _only(here if len(here) > 1 else there, which)
    return pairs


def _only(files: Sequence[Path], path: Path) -> Path:
    if len(files) > 1:
        raise UsageError(f"{path} holds {len(files)} records; name one of them: {', '.join(map(str, files[:5]))}")
    return files[0]
