"""Where the neurons of a model are: one `LayerNeurons` per decoder layer that has a feed-forward block.

A layer's units are numbered: first the dense segments (a plain feed-forward block, shared experts) in the order in
which they run, then the routed segments, expert after expert. A mixture-of-experts neuron is therefore
`first_unit + expert * width + j` inside its layer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

from nharness.neurons import Component

SITES = ("gate", "hidden")
UP = "up"

Site = Literal["gate", "hidden", "up"]


@dataclass(frozen=True)
class ModuleTap:
    """A site that is exactly what a module takes (`input`) or gives (`output`), or columns of it.

    `columns` is `(start, stop)` along the last dimension; None means all of them.
    """

    module: str
    end: Literal["input", "output"]
    columns: tuple[int, int] | None = None


@dataclass(frozen=True)
class DownProjection:
    """The weight that consumes the hidden site, as far as folding an edit into it needs to know.

    `unit_dim` is the dimension of the parameter that counts neurons; a parameter with experts has them first.
    `module` names the linear module when the parameter belongs to one that may be given a bias.
    """

    parameter: str
    unit_dim: int
    module: str | None = None
    foldable: bool = True


@dataclass(frozen=True)
class Segment:
    """Units of one feed-forward block of a layer: `experts` banks of `width` neurons from `first_unit` on.

    `block` is the smallest module that sees every token and contains the whole block; sites without a module tap are
    reached by following the data through it. `gate_leaves`/`up_leaves` name the weights whose products the gate and
    the up projection are, with the part of the output they take. `time_first` blocks see vectors in (t, b) order;
    a block that is `told` the routing is given the experts of each token as whole numbers.
    `passes` is how often the block runs in one forward pass: more than once where layers share their weights, and then
    every token activates a neuron that many times.
    """

    first_unit: int
    experts: int
    width: int
    routed: bool
    gated: bool
    block: str
    down: DownProjection
    taps: Mapping[str, ModuleTap] = field(default_factory=dict)
    gate_leaves: frozenset[tuple[str, str]] = frozenset()
    up_leaves: frozenset[tuple[str, str]] = frozenset()
    time_first: bool = False
    told: bool = False
    passes: int = 1

    @property
    def units(self) -> int:
        """Number of neurons in the segment, experts counted."""
        return self.experts * self.width

    @property
    def sites(self) -> tuple[str, ...]:
        """Sites that exist here: a block without a gate has no up projection, and its gate is its hidden site."""
        return (*SITES, UP) if self.gated else SITES

    def place(self, site: str) -> str:
        """Return where `site` is reached: `MODULE:input`, `MODULE:output`, or `BLOCK:followed`."""
        tap = self.tap(site)
        return f"{self.block}:followed" if tap is None else f"{tap.module}:{tap.end}"

    def tap(self, site: str) -> ModuleTap | None:
        """Return the module at which `site` can be hooked, or None when it has to be followed through the block."""
        return self.taps.get("hidden" if site == "gate" and not self.gated else site)


@dataclass(frozen=True)
class LayerNeurons:
    """The neurons of one decoder layer.

    `index` is the position in the map, 0..L-1 (layers without a feed-forward block are not counted); `name` the module
    path of the layer's feed-forward block; `width` the number of neurons, experts counted; `experts` the number of
    routed experts, 1 for a dense layer.
    """

    index: int
    name: str
    width: int
    sites: tuple[str, ...]
    experts: int
    segments: tuple[Segment, ...] = field(default=(), repr=False)

    @property
    def modules(self) -> dict[str, tuple[str, ...]]:
        """Where each site is reached, one place (`Segment.place`) a segment."""
        return {site: tuple(segment.place(site) for segment in self.segments) for site in self.sites}

    @property
    def passes(self) -> int:
        """How often each token runs through the layer's neurons in one forward pass."""
        return max((segment.passes for segment in self.segments), default=1)


@dataclass(frozen=True, repr=False)
class NeuronMap:
    """Every neuron of a model, in (layer, unit) order.

    `selected` are units named by somebody, ascending, one tuple a layer; None where none were named. `component` is
    what kind of unit the neurons are.
    """

    layers: tuple[LayerNeurons, ...]
    selected: tuple[tuple[int, ...], ...] | None = None
    component: Component = "mlp"

    @property
    def layer_widths(self) -> tuple[int, ...]:
        """Number of neurons per layer, in order."""
        return tuple(layer.width for layer in self.layers)

    @property
    def digest(self) -> str:
        """SHA-256 over where every neuron is: another map of the same model finds other neurons under the same numbers.

        The neurons that somebody selected are left out: a map says what there is.
        """
        layers = [_plain(layer) for layer in self.layers]
        return hashlib.sha256(json.dumps(layers, sort_keys=True).encode()).hexdigest()

    def __repr__(self) -> str:
        """One line: layers, neurons, experts, sites."""
        widths = sorted(set(self.layer_widths))
        each = f"{widths[0]}" if len(widths) == 1 else f"{widths[0]} to {widths[-1]}"
        experts = max((layer.experts for layer in self.layers), default=1)
        sites = [site for site in (*SITES, UP) if all(site in layer.sites for layer in self.layers)]
        routed = f", up to {experts} experts a layer" if experts > 1 else ""
        chosen = "" if self.selected is None else f", {sum(map(len, self.selected))} selected"
        size = f"{len(self.layers)} layers x {each} = {sum(self.layer_widths)} neurons"
        return f"NeuronMap({size}{routed}{chosen}; sites {', '.join(sites)})"


def _plain(value: Any) -> Any:
    """Return a value of the map as JSON has it; sets in order."""
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {name: _plain(found) for name, found in value.items()}
    if isinstance(value, frozenset):
        return sorted(_plain(each) for each in value)
    return [_plain(each) for each in value] if isinstance(value, tuple) else value
