"""Recomputing a record from its files: neuron counts from the neurons, every aggregate from the items."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nharness.errors import NharnessError
from nharness.neurons import KINDS, Detection
from nharness.neurons import load as load_neurons
from nharness.record.model import Record
from nharness.record.problems import Problem, pointer, shown, unique
from nharness.record.store import find, inside


def deep_problems(record: Record, folder: Path) -> list[Problem]:
    """Return every difference between a valid record and what its files give; what has no file is not compared."""
    problems: list[Problem] = []
    try:
        problems += neuron_differences(record, folder)
    except NharnessError as error:
        problems.append(
            Problem("/neurons/file", f"the neurons file cannot be used: {shown(str(error), limit=300)[1:-1]}")
        )
    return unique(problems)


def neuron_differences(record: Record, folder: Path) -> Iterator[Problem]:
    """Yield every neuron count that is not what the neurons file gives; raises `FileFormatError` for a damaged file."""
    entry = find(record.files, "neurons")
    if entry is None:
        return
    detection = load_neurons(inside(folder, entry.name))
    if detection.languages != record.languages or detection.layer_widths != record.model.layer_widths:
        yield Problem("/neurons/file", "the neurons file has other languages or layer widths than the record")
        return
    layer = np.repeat(np.arange(len(detection.layer_widths)), detection.layer_widths)
    for row, tag in enumerate(detection.languages):
        counts = np.bincount(layer[detection.membership[row]], minlength=len(detection.layer_widths))
        yield from _same(pointer("neurons", "per_language", tag), record.neurons.per_language[tag], int(counts.sum()))
        layers = list(record.neurons.layers.languages[tag])
        yield from _same(pointer("neurons", "layers", "languages", tag), layers, counts.tolist())
    yield from _kinds(record, detection, layer)
    yield from _overlap(record, detection)


def _kinds(record: Record, detection: Detection, layer: NDArray[np.int64]) -> Iterator[Problem]:
    selected = detection.kinds(over="selected")
    everything = detection.kinds(over="all")
    neurons = record.neurons
    for index, name in enumerate(KINDS):
        yield from _same(
            f"/neurons/kinds_selected/{name}", getattr(neurons.kinds_selected, name), int((selected == index).sum())
        )
        if neurons.kinds_all is not None:
            yield from _same(
                f"/neurons/kinds_all/{name}", getattr(neurons.kinds_all, name), int((everything == index).sum())
            )
    for place, kinds, found in (
        ("kinds_selected", selected, neurons.layers.kinds_selected), ("kinds_all", everything, neurons.layers.kinds_all)
    ):  # fmt: skip
        for name, counts in (found or {}).items():
            held = layer[kinds == KINDS.index(name)]
            expected = np.bincount(held, minlength=len(detection.layer_widths)).tolist()
            yield from _same(f"/neurons/layers/{place}/{name}", list(counts), expected)


def _overlap(record: Record, detection: Detection) -> Iterator[Problem]:
    held = detection.membership.astype(np.float64)
    both = held @ held.T
    sizes = held.sum(axis=1)
    for i in range(len(sizes)):
        for j in range(len(sizes)):
            either = sizes[i] + sizes[j] - both[i, j]
            expected = both[i, j] / either if either else None
            got = record.neurons.overlap[i][j]
            if (got is None) != (expected is None) or abs((got or 0) - (expected or 0)) > 1e-9:
                yield Problem(f"/neurons/overlap/{i}/{j}", f"overlap is {got}, the neurons file gives {expected}")


def _same(where: str, got: object, expected: object) -> Iterator[Problem]:
    if got != expected:
        yield Problem(where, f"the record says {shown(got)}, the neurons file gives {shown(expected)}")
