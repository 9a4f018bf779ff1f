"""From changes, which name neurons, to edits, which name tensors of a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from nharness.intervention import Change
from nharness.models import Edit, NeuronMap


def to_edits(changes: Sequence[Change], neuron_map: NeuronMap) -> list[Edit]:
    """Return one edit per affine change and layer that has any of its neurons; drawn changes are `draws`' work."""
    widths = np.asarray(neuron_map.layer_widths, dtype=np.int64)
    starts = np.cumsum(widths) - widths
    edits = []
    for change in changes:
        if change.values_from:
            continue
        layers = np.searchsorted(starts, change.flat, side="right") - 1
        for layer in np.unique(layers):
            inside = layers == layer
            edits.append(
                Edit(
                    layer=int(layer),
                    site=change.site,
                    units=torch.from_numpy(change.flat[inside] - starts[layer]),
                    scale=torch.from_numpy(change.scale[inside]),
                    shift=torch.from_numpy(change.shift[inside]),
                )
            )
    return edits
