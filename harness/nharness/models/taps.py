"""Reach the sites of a running model: by module hooks where a site is a module's input or output, else by following.

Shapes: `S` rows (tokens, or routed token-expert pairs), `I` neurons of one expert.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from nharness.errors import ModelError
from nharness.models.flow import GatedProduct, Leaf, Mark
from nharness.models.follow import Arrival, Follower
from nharness.models.neuron_map import UP, LayerNeurons, ModuleTap, NeuronMap, Segment
from nharness.models.parameter_names import ParameterNames


@dataclass(frozen=True, slots=True)
class SiteValues:
    """The values at one site of one segment, as one call of the block made them.

    `values` is [S, I]. `rows` int64 [S] is the flat token index of each row, None for every token in order; -1 marks a
    row that stands for no token. `experts` int64 [S] is the expert of each row, None in a dense block.
    """

    layer: LayerNeurons
    segment: Segment
    site: str
    values: Tensor
    rows: Tensor | None = None
    experts: Tensor | None = None


Visitor = Callable[[SiteValues], Tensor | None]


Target = tuple[LayerNeurons, Segment, str]


@contextmanager
def visit_sites(model: nn.Module, wanted: Sequence[tuple[LayerNeurons, str]], visitor: Visitor) -> Iterator[None]:
    """Call `visitor` whenever the running model passes one of the `wanted` (layer, site).

    A tensor that the visitor returns, [S, I], takes the place of the values. Hooks of others are left alone; ours are
    removed on leaving, whatever happened inside.
    """
    targets = [(layer, segment, site) for layer, site in wanted for segment in layer.segments]
    with _visit_targets(model, targets, visitor):
        yield


@contextmanager
def visit_segment(model: nn.Module, target: Target, visitor: Visitor) -> Iterator[None]:
    """Call `visitor` whenever the running model passes one site of one segment."""
    with _visit_targets(model, [target], visitor):
        yield


@contextmanager
def _visit_targets(model: nn.Module, targets: Sequence[Target], visitor: Visitor) -> Iterator[None]:
    followed: dict[str, list[Target]] = {}
    with ExitStack() as stack:
        for layer, segment, site in targets:
            _require(layer, segment, site)
            tap = segment.tap(site)
            if tap is None:
                followed.setdefault(segment.block, []).append((layer, segment, site))
            else:
                hook = _hook(model.get_submodule(tap.module), tap, (layer, segment, site), visitor)
                stack.callback(hook.remove)
        for block, inside in followed.items():
            stack.enter_context(_following(model, block, inside, visitor))
        yield


def wanted_sites(neuron_map: NeuronMap, sites: Iterable[str]) -> list[tuple[LayerNeurons, str]]:
    """Return every (layer, site) of the map for `sites`."""
    names = tuple(sites)
    return [(layer, site) for layer in neuron_map.layers for site in names]


def _require(layer: LayerNeurons, segment: Segment, site: str) -> None:
    """Refuse a site that a segment does not have."""
    if site not in segment.sites:
        raise ModelError(
            f"layer {layer.index} ({layer.name}) has no site {site!r}: it has {', '.join(segment.sites)}"
            + (" (its feed-forward block is not gated, so there is no up projection)" if site == UP else "")
        )


def _hook(module: nn.Module, tap: ModuleTap, target: Target, visitor: Visitor) -> Any:
    """Hook what `module` takes or gives."""
    layer, segment, site = target

    def see(tensor: Tensor) -> Tensor | None:
        rows = token_rows(segment, tensor)
        changed = visitor(SiteValues(layer, segment, site, tensor.reshape(-1, tensor.shape[-1]), rows))
        return None if changed is None else changed.reshape(tensor.shape)

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if args:
            changed = see(args[0])
            return None if changed is None else ((changed, *args[1:]), kwargs)
        name = next(key for key, value in kwargs.items() if isinstance(value, Tensor))
        changed = see(kwargs[name])
        return None if changed is None else (args, {**kwargs, name: changed})

    def after(_: nn.Module, __: tuple[Any, ...], output: Any) -> Any:
        if isinstance(output, Tensor):
            return see(output)
        changed = see(output[0])
        return None if changed is None else (changed, *output[1:])

    if tap.end == "input":
        return module.register_forward_pre_hook(before, with_kwargs=True)
    return module.register_forward_hook(after)


def token_rows(segment: Segment, tensor: Tensor) -> Tensor | None:
    """Return the flat token index b*T + t of each row of a block that sees [T, B, I]; None where it sees [B, T, I]."""
    if not segment.time_first or tensor.ndim != 3:
        return None
    length, batch = tensor.shape[:2]
    time = torch.arange(length, device=tensor.device)[:, None]
    return (torch.arange(batch, device=tensor.device) * length + time).reshape(-1)


@dataclass
class _Watch:
    """Who wants to see the sites of one block: one follower serves them all, in the order in which they came.

    A second follower would not recognise the tensors that the first one puts in place.
    """

    block: str
    visitors: list[tuple[Sequence[Target], Visitor]] = field(default_factory=list)
    running: list[ExitStack] = field(default_factory=list)
    handles: list[Any] = field(default_factory=list)

    def start(self, module: nn.Module) -> None:
        """Follow the data whenever `module` runs."""

        def before(*_: Any) -> None:
            self.running.append(ExitStack())
            self.running[-1].enter_context(SiteFollower(ParameterNames(module, self.block), self.visitors))

        def after(*_: Any) -> None:
            if self.running:
                self.running.pop().close()

        self.handles = [
            module.register_forward_pre_hook(before),
            module.register_forward_hook(after, always_call=True),
        ]


_WATCHES: WeakKeyDictionary[nn.Module, _Watch] = WeakKeyDictionary()


@contextmanager
def _following(model: nn.Module, block: str, targets: Sequence[Target], visitor: Visitor) -> Iterator[None]:
    """Follow the data inside one block while it runs."""
    module = model.get_submodule(block)
    watch = _WATCHES.setdefault(module, _Watch(block))
    if not watch.visitors:
        watch.start(module)
    entry = (targets, visitor)
    watch.visitors.append(entry)
    try:
        yield
    finally:
        watch.visitors.remove(entry)
        if not watch.visitors:
            for handle in watch.handles:
                handle.remove()


class SiteFollower(Follower):
    """Call visitors, one after the other, at the sites of some segments of one block."""

    def __init__(self, names: ParameterNames, visitors: Sequence[tuple[Sequence[Target], Visitor]]) -> None:
        super().__init__(names)
        self.visits = [(target, visitor) for targets, visitor in visitors for target in targets]

    def on_product(self, gate: Tensor, up: Tensor, product: GatedProduct, mark: Mark) -> tuple[Tensor, Tensor]:
        """Visit the gate and the up projection of a gated segment."""
        keys = {"gate": _keys(product.gate_leaves), UP: _keys(product.up_leaves)}
        factors = {"gate": gate, UP: up}
        for target, visitor in self.visits:
            _, segment, site = target
            if site in factors and segment.gate_leaves == keys["gate"] and segment.up_leaves == keys[UP]:
                factors[site] = _visit(target, visitor, factors[site], mark)
        return factors["gate"], factors[UP]

    def on_arrival(self, arrival: Arrival) -> Tensor:
        """Visit the hidden vector, and the gate of a segment in which both are the same."""
        values = arrival.values
        for target, visitor in self.visits:
            _, segment, site = target
            if arrival.weight.parameter == segment.down.parameter and (site == "hidden" or not segment.gated):
                values = _visit_arrival(target, visitor, values, arrival)
        return values


def _visit_arrival(target: Target, visitor: Visitor, values: Tensor, arrival: Arrival) -> Tensor:
    """Visit a vector that stands in the last dimension, or in the last but one of a matrix of columns."""
    if arrival.unit_dim == -1:
        return _visit(target, visitor, values, arrival.mark)
    if values.shape[-1] == 1:
        # A column is put back as it came: other strides would choose another kernel, which rounds otherwise.
        return _visit(target, visitor, values.squeeze(-1), arrival.mark).unsqueeze(-1)
    return _visit(target, visitor, values.transpose(-1, -2), arrival.mark).transpose(-1, -2)


def _visit(target: Target, visitor: Visitor, values: Tensor, mark: Mark) -> Tensor:
    layer, segment, site = target
    flat = values.reshape(-1, segment.width)
    experts, rows = (mark.experts, mark.rows) if segment.routed else (None, token_rows(segment, values))
    changed = visitor(SiteValues(layer, segment, site, flat, rows, experts))
    return values if changed is None else changed.reshape(values.shape)


def _keys(leaves: frozenset[Leaf]) -> frozenset[tuple[str, str]]:
    return frozenset((leaf.parameter, leaf.part) for leaf in leaves)
