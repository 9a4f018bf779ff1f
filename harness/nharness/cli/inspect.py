"""Show where a model's neurons are: layers, widths, experts, the modules of each site, shared weights."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nharness.cli.model_options import add_model_options, load_from, model_of
from nharness.cli.output import print_table, say, say_json
from nharness.cli.plugin_options import add_plugin_options, load_plugins

if TYPE_CHECKING:
    from torch import nn

    from nharness.models import LayerNeurons, NeuronMap


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the model and the choice of output."""
    add_model_options(parser)
    parser.add_argument(
        "--names", metavar="LIBRARY", help="what transformer-lens, nnsight or nnterp call each site, instead of the map"
    )
    parser.add_argument("--json", action="store_true", help="print the map as JSON")
    add_plugin_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Load the model, locate its neurons, print the map."""
    from nharness.notebook import locate

    plugins = load_plugins(arguments)
    loaded = load_from(arguments, plugins)
    neuron_map = locate(loaded.model, plugins=plugins)
    if arguments.names is not None:
        rows = _names(neuron_map, arguments.names)
        say_json(rows) if arguments.json else print_table(rows)
        return 0
    shared = _shared(loaded.model, neuron_map)
    if arguments.json:
        say_json(describe(neuron_map, shared, fingerprint=loaded.fingerprint))
        return 0
    say(
        f"{model_of(arguments).name}: {type(loaded.model).__name__}, {len(neuron_map.layers)} layers with neurons, "
        f"{sum(neuron_map.layer_widths)} neurons, fingerprint {loaded.fingerprint}"
    )
    print_table([_row(layer, shared) for layer in neuron_map.layers])
    return 0


def _names(neuron_map: NeuronMap, library: str) -> list[dict[str, Any]]:
    """Return a row for every site that the library has a name for."""
    from nharness.foreign.site_names import site_names

    named = site_names(neuron_map, library)
    return [{"layer": layer, "site": site, library: name} for (layer, site), name in named.items()]


def describe(neuron_map: NeuronMap, shared: Mapping[str, tuple[str, ...]], *, fingerprint: str) -> dict[str, Any]:
    """Return the map as plain values: every layer with its segments and the modules of its sites."""
    return {
        "fingerprint": fingerprint,
        "layer_widths": list(neuron_map.layer_widths),
        "layers": [
            {
                "index": layer.index,
                "name": layer.name,
                "width": layer.width,
                "experts": layer.experts,
                "sites": list(layer.sites),
                "passes": layer.passes,
                "segments": [
                    {
                        "first_unit": segment.first_unit,
                        "experts": segment.experts,
                        "width": segment.width,
                        "routed": segment.routed,
                        "gated": segment.gated,
                        "block": segment.block,
                        "down_projection": segment.down.parameter,
                        "foldable": segment.down.foldable,
                        "modules": {site: segment.place(site) for site in segment.sites},
                        "shared_with": list(shared.get(segment.down.parameter, ())),
                    }
                    for segment in layer.segments
                ],
            }
            for layer in neuron_map.layers
        ],
    }


def _row(layer: LayerNeurons, shared: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return one line of the table."""
    segments = layer.segments
    return {
        "layer": layer.index,
        "block": layer.name,
        "neurons": layer.width,
        "experts": layer.experts if any(segment.routed for segment in segments) else None,
        "gated": "yes" if "up" in layer.sites else "no",
        "hidden at": [_short(place) for place in layer.modules["hidden"]],
        "gate at": [_short(place) for place in layer.modules["gate"]],
        "shared weights": [name for segment in segments for name in shared.get(segment.down.parameter, ())],
    }


def _short(place: str) -> str:
    """Return a place by its module's own name."""
    module, _, end = place.rpartition(":")
    return end if end == "followed" else f"{module.rpartition('.')[2]}:{end}"


def _shared(model: nn.Module, neuron_map: NeuronMap) -> dict[str, tuple[str, ...]]:
    """Return, for every down projection, the other names of the same parameter."""
    names: dict[int, list[str]] = {}
    known = dict(model.named_parameters(remove_duplicate=False))
    for name, parameter in known.items():
        names.setdefault(id(parameter), []).append(name)
    found = {}
    for layer in neuron_map.layers:
        for segment in layer.segments:
            same = names.get(id(known.get(segment.down.parameter)), [])
            found[segment.down.parameter] = tuple(name for name in same if name != segment.down.parameter)
    return found
