"""Neuron counts, kinds, layers, overlaps and the detector, checked against the neurons file.

Legend: `G` languages, `L` layers, `M` neurons of the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nharness.errors import FileFormatError
from nharness.neurons import FORMAT, KINDS, Detection
from nharness.neurons import load as load_neurons
from nharness.record.model import Record
from nharness.record.problems import Problem, pointer, shown
from nharness.record.reading import size_of
from nharness.record.store import find, inside
from nharness.tensorfile import load_metadata
from nharness_leaderboard.limits import MAX_FILE

MAX_MEMBERSHIP = 1 << 29  # languages times neurons that are read


def fits(record: Record, path: Path) -> bool:
    """Tell whether a neurons file has the record's languages and layer widths.

    Raises `FileFormatError` for a file that is damaged, no plain file, or of too many neurons.
    """
    if len(record.languages) * sum(record.model.layer_widths) > MAX_MEMBERSHIP:
        raise FileFormatError(f"{len(record.languages)} languages of {record.neurons.total} neurons are too many")
    size_of(path, max_bytes=MAX_FILE)
    claimed = load_metadata(path, FORMAT)
    expected = list(record.languages), list(record.model.layer_widths)
    return (claimed.get("languages"), claimed.get("layer_widths")) == expected


def neuron_differences(record: Record, folder: Path) -> Iterator[Problem]:
    """Yield neuron counts that do not follow from the neurons file; raises `FileFormatError` for a damaged one."""
    entry = find(record.files, "neurons")
    if entry is None:
        return
    path = inside(folder, entry.name)
    if not fits(record, path):
        yield Problem("/neurons/file", "the neurons file has other languages or layer widths than the record")
        return
    detection = load_neurons(path)
    yield from _detector(record, detection)
    layer = np.repeat(np.arange(len(detection.layer_widths)), detection.layer_widths)
    for row, tag in enumerate(detection.languages):
        counts = np.bincount(layer[detection.membership[row]], minlength=len(detection.layer_widths))
        yield from _same(pointer("neurons", "per_language", tag), record.neurons.per_language[tag], int(counts.sum()))
        layers = list(record.neurons.layers.languages[tag])
        yield from _same(pointer("neurons", "layers", "languages", tag), layers, counts.tolist())
    yield from _kinds(record, detection, layer)
    yield from _overlap(record, detection)


def _detector(record: Record, detection: Detection) -> Iterator[Problem]:
    """Yield a detector, option or component other than the neurons file's."""
    yield from _same("/neurons/component", record.neurons.component, detection.component)
    yield from _same("/detector/name", record.detector.name, detection.detector)
    got, written = (_plain(options) for options in (record.detector.options, detection.options))
    for options in (got, written):
        options.pop("budget", None)
    if record.detector.name.startswith("file:"):
        got.pop("detector", None)  # which detector the neurons are of, where they were read and not found
    for name in dict.fromkeys([*got, *written]):
        yield from _same(pointer("detector", "options", name), got.get(name), written.get(name))
    selected = int(detection.membership.any(axis=0).sum())
    yield from _same("/neurons/selected", record.neurons.selected, selected)


def _plain(options: Mapping[str, object]) -> dict[str, object]:
    """Return options under the names that users type: the field `lambda_` is `lambda`."""
    return {name.rstrip("_"): value for name, value in options.items()}


def _kinds(record: Record, detection: Detection, layer: NDArray[np.int64]) -> Iterator[Problem]:
    """Yield counts of kinds, overall and by layer, that are wrong, missing, or present without candidates."""
    neurons, layers = record.neurons, record.neurons.layers
    over: Literal["selected", "all"]
    for over in ("selected", "all"):
        place = f"kinds_{over}"
        whole, by_layer = getattr(neurons, place), getattr(layers, place)
        unknown = over == "all" and detection.candidates is None
        if unknown or whole is None or by_layer is None:
            if not (unknown and whole is None and by_layer is None):
                why = "does not tell them" if unknown else "gives them, and they are left out"
                yield Problem(f"/neurons/{place}", f"the neurons file {why}")
            continue
        kinds = detection.kinds(over=over)
        for index, name in enumerate(KINDS):
            counts = np.bincount(layer[kinds == index], minlength=len(detection.layer_widths)).tolist()
            yield from _same(f"/neurons/{place}/{name}", getattr(whole, name), sum(counts))
            yield from _same(f"/neurons/layers/{place}/{name}", list(by_layer.get(name, ())), counts)


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
