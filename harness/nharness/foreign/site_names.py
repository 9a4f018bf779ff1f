"""What other libraries call the places where neurons are read: names of theirs to sites of ours, and back.

| site | TransformerLens | nnsight |
|---|---|---|
| hidden | `blocks.3.mlp.hook_post` | `model.layers[3].mlp.down_proj.input` |
| gate, of a gated layer | none (`hook_pre` is before the activation function) | `model.layers[3].mlp.act_fn.output` |
| up | `blocks.3.mlp.hook_pre_linear` | `model.layers[3].mlp.up_proj.output` |

nnterp's are nnsight's from the layers on: `layers[3].mlp.down_proj.input`.

A plain layer's gate is its hidden site. Units are the last dimension there, in our order. A mixture of experts has no
such names: what a module gives is of some tokens only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from nharness.errors import UnknownNameError, UsageError
from nharness.models import LayerNeurons, NeuronMap

LIBRARIES = ("transformer-lens", "nnsight", "nnterp")
LENS = {"hidden": "hook_post", "up": "hook_pre_linear"}


def site_name(neuron_map: NeuronMap, layer: int, site: str, library: str) -> str:
    """Return what a library calls a site of a layer; for nnsight and nnterp the words after the model object.

    Raises `UsageError` for a layer or site that does not exist, and with the reason where the library has no name.
    """
    if library not in LIBRARIES:
        raise UnknownNameError("library", library, LIBRARIES)
    if not 0 <= layer < len(neuron_map.layers):
        raise UsageError(f"no layer {layer}: the model has layers with neurons 0 to {len(neuron_map.layers) - 1}")
    described = neuron_map.layers[layer]
    if site not in described.sites:
        raise UsageError(f"layer {layer} ({described.name}) has no site {site!r}: it has {', '.join(described.sites)}")
    found = _named(described, site, library)
    if isinstance(found, _Unnamed):
        raise UsageError(f"{library} has no name for the {site} site of layer {layer} ({described.name}): {found.why}")
    return found


def site_names(neuron_map: NeuronMap, library: str) -> Mapping[tuple[int, str], str]:
    """Return the library's name of every (layer, site) that it has one for."""
    if library not in LIBRARIES:
        raise UnknownNameError("library", library, LIBRARIES)
    places = [(layer.index, site) for layer in neuron_map.layers for site in layer.sites]
    named = {place: _named(neuron_map.layers[place[0]], place[1], library) for place in places}
    return {place: each for place, each in named.items() if isinstance(each, str)}


def site_of(neuron_map: NeuronMap, name: str, library: str) -> tuple[int, str]:
    """Return the (layer, site) that a library's name is; of a plain layer's two the hidden site.

    Raises `UnknownNameError` with the nearest name for one that is no site of the model.
    """
    known = {each: place for place, each in site_names(neuron_map, library).items()}  # hidden comes after gate
    if name not in known:
        raise UnknownNameError(f"site of {library}", name, known)
    return known[name]


@dataclass(frozen=True)
class _Unnamed:
    """Why a site has no name."""

    why: str


def _named(layer: LayerNeurons, site: str, library: str) -> str | _Unnamed:
    block = re.match(r"[^\d]*\.(\d+)(?=\.|$)", layer.name)
    if len(layer.segments) != 1 or layer.experts != 1:
        return _Unnamed("it has experts, and a module of theirs sees some tokens only")
    if block is None:
        return _Unnamed("its path has no block's number")
    segment = layer.segments[0]
    if library == "transformer-lens":
        hook = LENS.get("hidden" if site == "gate" and not segment.gated else site)
        gone = _Unnamed("it has the gate before its activation function only, as hook_pre")
        return gone if hook is None else f"blocks.{block[1]}.mlp.{hook}"
    tap = segment.tap(site)
    if tap is None:
        return _Unnamed("no module takes or gives it")
    path = f"layers.{block[1]}{tap.module.removeprefix(block[0])}" if library == "nnterp" else tap.module
    words = re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", path)
    return f"{words}.{tap.end}" + ("" if tap.columns is None else f"[..., {tap.columns[0]}:{tap.columns[1]}]")
