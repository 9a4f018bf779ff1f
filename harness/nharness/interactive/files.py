"""What was written, read again: records, detections and statistics."""

from __future__ import annotations

from pathlib import Path

from nharness.cli.found import neurons_file, record_files
from nharness.errors import UsageError
from nharness.neurons import Detection
from nharness.neurons import load as read_neurons
from nharness.record.model import Record
from nharness.record.validate import load_record as load_file
from nharness.statistics import Statistics
from nharness.statistics import load as read_statistics


def load_record(path: str | Path) -> Record:
    """Return the record of a file, or of the folder of a record or of a run with one record.

    Raises `FileFormatError` for what is no valid record, `UsageError` for a folder that holds several.
    """
    found = record_files(Path(path))
    if len(found) > 1:
        raise UsageError(f"{path} holds {len(found)} records; name one of them: {', '.join(map(str, found[:5]))}")
    return load_file(found[0])


def load_detection(path: str | Path) -> Detection:
    """Return the detection of a neurons file, or of the folder of a record or of a run with one record.

    Raises `FileFormatError` for what is no neurons file, `UsageError` for a folder that holds several.
    """
    return read_neurons(neurons_file(Path(path)))


def load_statistics(path: str | Path) -> Statistics:
    """Return the statistics of a file; raises `FileFormatError` for anything else."""
    return read_statistics(Path(path))
