"""Masks: `List[language][layer] -> LongTensor` of unit numbers, as LAPE and its successors publish them.

The file names neither languages nor widths, so the caller does. The released code that writes such files counts the
languages without a minimum length and so leaves out those at the *end* that got no neuron; reading it side by side
with the full list of languages then cuts that list short without a word. Here every named language keeps its row:
missing ones at the end are empty, with a warning and a note.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nharness.errors import FileFormatError
from nharness.foreign.loading import load_torch, whole_numbers
from nharness.languages import parse_languages
from nharness.neurons import Detection, to_flat

CHANCE = 1e-9  # of units of layers of the right width lying as low as they do


def import_masks(
    path: Path, languages: Sequence[str], layer_widths: Sequence[int], *, trust_widths: bool = False
) -> Detection:
    """Return the detection that a mask file describes; members score 1, all others 0.

    languages: in the file's order, any spelling. Raises `FileFormatError` for a file of another shape, for more
    languages than were named, for another number of layers and for units outside the layer widths; and, unless the
    widths are to be trusted, for widths so large that the file's units hardly leave the upper part empty by chance.
    """
    tags = parse_languages(languages)
    content = load_torch(path)
    if not isinstance(content, list | tuple) or not content:
        raise FileFormatError(f"{path}: holds a {type(content).__name__}, expected a list of languages of layers")
    if len(content) > len(tags):
        raise FileFormatError(f"{path}: holds {len(content)} languages, but {len(tags)} were named: {', '.join(tags)}")
    absent = tags[len(content) :]
    if absent:
        text = f"{path}: holds {len(content)} of {len(tags)} languages; taken as empty: {', '.join(absent)}"
        warnings.warn(text, UserWarning, stacklevel=2)
    membership = np.zeros((len(tags), sum(layer_widths)), dtype=bool)
    for row, tag, layers in zip(membership, tags, content, strict=False):
        row[_flat(path, tag, layers, layer_widths)] = True
    if not trust_widths:
        _refuse_wide(path, np.asarray(membership.any(axis=0)), layer_widths)
    return Detection(
        detector=path.stem,
        languages=tags,
        layer_widths=tuple(layer_widths),
        membership=membership,
        score=membership.astype(np.float32),
        best="highest",
        candidates=membership,
        notes={"absent_languages": list(absent)},
        provenance={"imported_from": path.name},
    )


def _flat(path: Path, tag: str, layers: Any, widths: Sequence[int]) -> NDArray[np.int64]:
    if not isinstance(layers, list | tuple) or len(layers) != len(widths):
        got = f"{len(layers)} layers" if isinstance(layers, list | tuple) else f"a {type(layers).__name__}"
        raise FileFormatError(f"{path}: language {tag!r} has {got}, expected a list of {len(widths)} layers")
    pairs = []
    for layer, units in enumerate(layers):
        what = f"language {tag!r}, layer {layer}"
        flat = whole_numbers(path, units, what, most=widths[layer]).reshape(-1)
        pairs.append(np.stack([np.full(flat.size, layer, dtype=np.int64), flat], axis=1))
    return to_flat(np.concatenate(pairs), widths, where=f"{path}: language {tag!r}")


def _refuse_wide(path: Path, used: NDArray[np.bool_], widths: Sequence[int]) -> None:
    """Raise `FileFormatError` when the units of all layers lie lower than chance would have it."""
    ends = np.cumsum(widths)
    layers = [np.flatnonzero(used[end - width : end]) for end, width in zip(ends, widths, strict=True)]
    pairs = [(units, width) for units, width in zip(layers, widths, strict=True) if units.size]
    chance = sum(units.size * math.log((int(units[-1]) + 1) / width) for units, width in pairs)
    if pairs and chance < math.log(CHANCE):
        highest = max(int(units[-1]) for units, _ in pairs)
        raise FileFormatError(
            f"{path}: no unit above {highest} in layers of up to {max(widths)}, which is no accident with "
            f"{int(used.sum())} units: the layers are probably narrower; --trust-widths takes them as they are"
        )
