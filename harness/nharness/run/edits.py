"""From changes, which name neurons, to edits, which name tensors of a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from nharness.errors import CellError
from nharness.intervention import Change
from nharness.models import Edit, NeuronMap


def to_edits(changes: Sequence[Change], neuron_map: NeuronMap) -> list[Edit]:
    """Return one edit per change and layer that has any of its neurons.

    Raises `CellError` for a change that takes its values from elsewhere: scale and shift say nothing about it.
    """
    drawn = sorted({change.draw for change in changes if change.draw})
    if drawn:
        raise CellError(f"intervention {drawn[0]} needs values drawn from other text, which this run cannot draw")
    widths = np.asarray(neuron_map.layer_widths, dtype=np.int64)
    starts = np.cumsum(widths) - widths
    edits = []
    for change in changes:
        layers = np.searchsorted(starts, change.flat, side="right") - 1
        for layer in np.unique(layers):
            inside = layers == layer
            edits.append(Edit(
                layer=int(layer), site=change.site, units=torch.from_numpy(change.flat[inside] - starts[layer]),
                scale=torch.from_numpy(change.scale[inside]), shift=torch.from_numpy(change.shift[inside]),
            ))  # fmt: skip
    return edits
