"""Recomputing a record from its files: neuron counts from the neurons, every aggregate from the items."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nharness.analysis.analyse import reanalyse
from nharness.analysis.measurements import from_items
from nharness.errors import FileFormatError, NharnessError
from nharness.neurons import FORMAT, KINDS, Detection
from nharness.neurons import load as load_neurons
from nharness.record.items import read_items
from nharness.record.model import Record
from nharness.record.problems import Problem, pointer, shown, unique
from nharness.record.store import find, inside
from nharness.tensorfile import load_metadata
from nharness_leaderboard.curves import curve_problems

# What a recomputation may take: bytes of items, languages times neurons, bootstrap draws.
MAX_ITEMS, MAX_MEMBERSHIP, MAX_DRAWS = 400_000_000, 1 << 29, 100_000
# What no item tells: how many items there were to choose from, and how many activations were edited.
_NOT_IN_ITEMS = ("edited_activations", "items_available")


def deep_problems(record: Record, folder: Path) -> list[Problem]:
    """Return every difference between a valid record and what its files give; what has no file is not compared."""
    problems: list[Problem] = []
    sources = (("/neurons/file", "neurons", neuron_differences), ("/files", "items", item_differences))
    for where, what, differences in sources:
        try:
            problems += differences(record, folder)
        except (NharnessError, ValueError, ArithmeticError, MemoryError) as error:
            message = shown(str(error), limit=300)[1:-1]
            problems.append(Problem(where, f"the {what} file cannot be used: {message}"))
    return unique([*problems, *curve_problems(record, [record], whole=False)])


def item_differences(record: Record, folder: Path) -> Iterator[Problem]:
    """Yield every aggregate that is not what the items give, with the record's own settings and seeds.

    Raises `FileFormatError` or `UsageError` for items that cannot be read or do not belong together.
    """
    entry = find(record.files, "items")
    if entry is None:
        return
    if record.analysis.bootstrap_draws > MAX_DRAWS:
        yield Problem("/analysis/bootstrap_draws", f"more than {MAX_DRAWS} draws are not recomputed")
        return
    found = reanalyse(record, from_items(read_items(inside(folder, entry.name), max_bytes=MAX_ITEMS)))
    for name in ("baseline", "cells", "summary"):
        parts = [part.document() for part in getattr(found, name)]
        yield from _apart([name], [part.document() for part in getattr(record, name)], parts)
    for index, draw in enumerate(record.controls.draws if record.controls else ()):
        changes = found.control_changes.get((draw.target, draw.draw), {})
        yield from _apart(["controls", "draws", index, "changes"], draw.document()["changes"], changes)
    if record.controls is None and found.control_changes:
        yield Problem("/controls", "the items file has random draws, the record lists none")


def _apart(place: list[str | int], got: Any, expected: Any) -> Iterator[Problem]:
    """Yield every place where two JSON documents differ; numbers may differ by rounding."""
    if isinstance(got, dict) and isinstance(expected, dict):
        for name in dict.fromkeys([*got, *expected]):
            if name not in _NOT_IN_ITEMS:
                yield from _apart([*place, name], got.get(name), expected.get(name))
    elif isinstance(got, list | tuple) and isinstance(expected, list | tuple) and len(got) == len(expected):
        for index, (one, other) in enumerate(zip(got, expected, strict=True)):
            yield from _apart([*place, index], one, other)
    elif not _agree(got, expected):
        yield Problem(pointer(*place), f"the record says {shown(got)}, the items give {shown(expected)}")


def _agree(got: Any, expected: Any) -> bool:
    if isinstance(got, int | float) and isinstance(expected, int | float) and not isinstance(got, bool):
        return math.isclose(got, expected, rel_tol=1e-6, abs_tol=1e-9)
    return bool(got == expected)


def neuron_differences(record: Record, folder: Path) -> Iterator[Problem]:
    """Yield every neuron count that is not what the neurons file gives; raises `FileFormatError` for a damaged file."""
    entry = find(record.files, "neurons")
    if entry is None:
        return
    path = inside(folder, entry.name)
    if len(record.languages) * sum(record.model.layer_widths) > MAX_MEMBERSHIP:
        raise FileFormatError(f"{len(record.languages)} languages of {record.neurons.total} neurons are too many")
    claimed = load_metadata(path, FORMAT)
    if (claimed.get("languages"), claimed.get("layer_widths")) != (
        list(record.languages),
        list(record.model.layer_widths),
    ):
        yield Problem("/neurons/file", "the neurons file has other languages or layer widths than the record")
        return
    detection = load_neurons(path)
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
        ("kinds_selected", selected, neurons.layers.kinds_selected),
        ("kinds_all", everything, neurons.layers.kinds_all),
    ):
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
