"""The structure of a record from its neurons file and its matrix."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nharness.analysis.structure.section import HarmMatrix, structure_of
from nharness.neurons import load as load_neurons
from nharness.record.model import Record
from nharness.record.problems import Problem
from nharness.record.store import find, inside
from nharness_leaderboard.deep.items import differences
from nharness_leaderboard.deep.neurons import fits


def structure_differences(record: Record, folder: Path) -> Iterator[Problem]:
    """Yield structure that does not follow from neurons and matrix; raises `FileFormatError` for a damaged file."""
    entry = find(record.files, "neurons")
    if record.structure is None:
        if entry is not None and record.identity.source is not None:  # not one of an older format
            yield Problem("/structure", "it is left out, though the neurons file gives it")
        return
    if entry is None:
        yield Problem("/structure", "a structure needs the neurons file beside the record")
        return
    path = inside(folder, entry.name)
    if fits(record, path):
        found = structure_of(load_neurons(path), HarmMatrix.of(record), record.analysis)
        told = record.structure.model_copy(update={"recorded": ()})
        yield from differences(["structure"], told.document(), found.document())
