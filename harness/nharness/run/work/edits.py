"""From changes, which name neurons, to edits, which name tensors of a model.

Shapes: `n` neurons of a change, `S` tokens, `k` neurons of the change at hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nharness.intervention import AnyChange, ValueChange
from nharness.models import Edit, Given, NeuronMap, ValueEdit


def to_edits(changes: Sequence[AnyChange], neuron_map: NeuronMap) -> list[Edit | ValueEdit]:
    """Return one edit per change and layer that has any of its neurons; values of other text are `donors`' work."""
    edits: list[Edit | ValueEdit] = []
    for change in changes:
        for layer, columns, units in by_layer(change.flat, neuron_map):
            chosen = torch.from_numpy(units)
            if isinstance(change, ValueChange):
                edits.append(ValueEdit(layer, change.site, chosen, ChangedValues(change, columns), change.seed))
            elif not change.values_from:
                scale, shift = torch.from_numpy(change.scale[columns]), torch.from_numpy(change.shift[columns])
                edits.append(Edit(layer, change.site, chosen, scale, shift))
    return edits


def by_layer(
    flat: NDArray[np.int64], neuron_map: NeuronMap
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """Yield every layer that has some of the neurons int64 [n], their places among them, and their units."""
    widths = np.asarray(neuron_map.layer_widths, dtype=np.int64)
    starts = np.cumsum(widths) - widths
    layers = np.searchsorted(starts, flat, side="right") - 1
    for layer in np.unique(layers):
        columns = np.flatnonzero(layers == layer)
        yield int(layer), columns, flat[columns] - starts[layer]


class ChangedValues:
    """A change's function, with the parameters of the neurons at `columns` of the change: one layer's."""

    def __init__(self, change: ValueChange, columns: NDArray[np.int64]) -> None:
        self._change = change
        self._numbers = {name: value for name, value in change.parameters.items() if not np.ndim(value)}
        self._rows = {
            name: torch.from_numpy(np.asarray(value)[columns])
            for name, value in change.parameters.items()
            if np.ndim(value)
        }

    def __call__(self, given: Given) -> Tensor:
        """Return the values [S, k]."""
        rows = {
            name: _like(whole.to(given.columns.device)[given.columns], given.values)
            for name, whole in self._rows.items()
        }
        noise = {} if given.noise is None else {"noise": given.noise.to(given.values.dtype)}
        made: Tensor = self._change.function(given.values, **self._numbers, **rows, **noise)
        return made


def _like(parameter: Tensor, values: Tensor) -> Tensor:
    """Return a parameter on the values' device, a real one in their dtype."""
    return parameter.to(values.device, values.dtype if parameter.is_floating_point() else parameter.dtype)
