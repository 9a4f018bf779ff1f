"""Two names for a notebook: where a model's neurons are, and the model with some of them edited."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from nharness.errors import ModelError, UnknownNameError
from nharness.models.edit import Backend, Edit, EditReport, Scope
from nharness.models.edits import apply_edits
from nharness.models.locating import locate
from nharness.models.neuron_map import NeuronMap
from nharness.neurons import load as load_neurons
from nharness.neurons import same_model

INTERVENTIONS = ("zero", "scale", "constant")
Neurons = Sequence[tuple[int, int]] | str | Path


@contextmanager
def apply(
    model: nn.Module,
    neurons: Neurons,
    *,
    language: str | None = None,
    intervention: str = "zero",
    value: float = 0.0,
    site: str = "hidden",
    backend: Backend = "auto",
    scope: Scope = "all",
) -> Iterator[EditReport]:
    """Edit `neurons` of any transformers model in place, inside the context.

    `neurons` are pairs (layer, unit), or a neurons file, of which those of `language` are taken. `intervention` is
    `zero`, `scale` (by `value`) or `constant` (`value`). A language that the file does not have, or a file made for a
    model of other layer widths, raises UsageError; so does anything `apply_edits` refuses.
    """
    neuron_map = locate(model)
    pairs = _pairs(neurons, language, neuron_map)
    edits = _edits(pairs, intervention, value, site)
    with apply_edits(model, neuron_map, edits, backend=backend, scope=scope) as report:
        yield report


def selected(neuron_map: NeuronMap, neurons: Neurons, language: str | None = None) -> tuple[tuple[int, ...], ...]:
    """Return, layer by layer, the units that `neurons` (pairs, or a neurons file with a language) name."""
    units: list[set[int]] = [set() for _ in neuron_map.layers]
    for layer, unit in _pairs(neurons, language, neuron_map):
        if not 0 <= layer < len(units):
            raise ModelError(f"no layer {layer}: the model has feed-forward layers 0 to {len(units) - 1}")
        units[layer].add(unit)
    return tuple(tuple(sorted(layer)) for layer in units)


def _pairs(neurons: Neurons, language: str | None, neuron_map: NeuronMap) -> Iterable[tuple[int, int]]:
    """Return (layer, unit) pairs, read from a file where one is given."""
    if not isinstance(neurons, str | Path):
        return [(int(layer), int(unit)) for layer, unit in neurons]
    if language is None:
        raise ModelError(f"which language of {neurons}? Give language=...")
    detection = load_neurons(Path(neurons))
    same_model(detection.layer_widths, neuron_map.layer_widths, what=f"{neurons} and the model")
    return [(int(layer), int(unit)) for layer, unit in detection.neurons(language)]


def _edits(pairs: Iterable[tuple[int, int]], intervention: str, value: float, site: str) -> list[Edit]:
    """Return one edit per layer."""
    if intervention not in INTERVENTIONS:
        raise UnknownNameError("intervention", intervention, INTERVENTIONS)
    scale, shift = {"zero": (0.0, 0.0), "scale": (value, 0.0), "constant": (0.0, value)}[intervention]
    layers: dict[int, set[int]] = {}
    for layer, unit in pairs:
        layers.setdefault(layer, set()).add(unit)
    return [
        Edit.affine(layer, torch.tensor(sorted(units)), scale=scale, shift=shift, site=site)
        for layer, units in sorted(layers.items())
    ]
