"""Watch the activations of a model while it runs.

Shapes: `B` batch, `T` time, rows are tokens in (b, t) order, or the tokens routed to one expert.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nharness.models.neuron_map import NeuronMap
from nharness.models.taps import SiteValues, visit_sites, wanted_sites


@dataclass(frozen=True, slots=True)
class Observation:
    """Activations of some neurons of one layer, in one forward pass.

    `layer` is the layer's index in the map; column j of `values` [rows, n] is unit `first_unit + j` of that layer.
    `rows` int64 [rows] is the flat token index b*T + t of each row (the tokens routed to an expert), None when there is
    one row for every token, in order.
    """

    site: str
    layer: int
    first_unit: int
    values: Tensor
    rows: Tensor | None


@contextmanager
def observe(
    model: nn.Module,
    neuron_map: NeuronMap,
    sites: Sequence[str],
    on_activation: Callable[[Observation], None],
    *,
    detach: bool = True,
) -> Iterator[None]:
    """Call `on_activation` for every layer and site (`gate`, `hidden`, `up`) that the model passes inside the context.

    A mixture-of-experts layer gives one observation per expert that received tokens. With `detach=False` the values are
    the very tensors that the forward pass goes on with, so gradients reach them. What a callback is given must not be
    changed in place. A site that a layer lacks raises ModelError naming the layer.
    """

    def visitor(seen: SiteValues) -> Tensor | None:
        values = seen.values.detach() if detach else seen.values
        if seen.experts is None:
            on_activation(Observation(seen.site, seen.layer.index, seen.segment.first_unit, values, seen.rows))
            return None if detach else values
        return _by_expert(seen, values, on_activation, rebuild=not detach)

    with visit_sites(model, wanted_sites(neuron_map, sites), visitor):
        yield


def _by_expert(
    seen: SiteValues, values: Tensor, on_activation: Callable[[Observation], None], *, rebuild: bool
) -> Tensor | None:
    """Give one observation per expert; return the values put together again from them when `rebuild`."""
    taken = seen.experts if seen.experts is not None else values.new_zeros(len(values)).long()
    rows = seen.rows if seen.rows is not None else torch.arange(len(values), device=values.device)
    experts = torch.where(rows < 0, seen.segment.experts, taken)
    order = torch.argsort(experts * (rows.max() + 2) + rows) if len(rows) else rows
    counts = torch.bincount(experts, minlength=seen.segment.experts + 1).tolist()
    pieces, places_of = torch.split(values[order], counts), torch.split(rows[order], counts)
    for expert, (piece, places) in enumerate(zip(pieces[:-1], places_of[:-1], strict=True)):
        if len(piece):
            first = seen.segment.first_unit + expert * seen.segment.width
            on_activation(Observation(seen.site, seen.layer.index, first, piece, places))
    return torch.cat(pieces)[torch.argsort(order)] if rebuild else None
