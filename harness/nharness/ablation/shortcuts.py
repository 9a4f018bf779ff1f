"""Losses without one neuron, many neurons at a time, the layers before theirs run once.

Legend: `B` rows of a batch, `T` its length, `D` model width, `P` pairs of (neuron, row), `I` neurons of the layer.

A copy of a row is made for every neuron that is ablated in it, the copies run as one batch, and the decoder layers
before the neuron's own are left out. What enters in their place depends on the way:

1. `Subtracted`: the layer's output y is cached and y - h_j * W_down[:, j] handed on, so that the layer itself is left
   out too. Pairs in which the neuron is 0 at every token are not run: nothing changes.
2. `Replayed`: the layer's input is cached; the layer runs, and h_j is set to 0 in its copy. For layers whose output is
   not linear in what the neuron writes (a norm after the block), and for routed experts.
3. `Edited`: the whole model once per neuron, edited by `apply_edits`; always possible.

`choose` takes the first that gives what `apply_edits` gives on a trial.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from nharness.errors import ModelError
from nharness.evaluation.head import Head
from nharness.models import Edit, LayerNeurons, NeuronMap, Observation, apply_edits, observe
from nharness.models.streams import REFUSALS, decoder_of, given, standing_in, stream_of
from nharness.models.taps import SiteValues, visit_sites

TRIAL_NEURONS = 3
CLOSE, CLOSE_SHARE = 1e-4, 1e-2  # nats a token; and of the change itself


@dataclass(frozen=True)
class Rows:
    """A batch of text: inputs and targets int64 [B, T], counted bool [B, T] where a target's loss counts."""

    inputs: Tensor
    targets: Tensor
    counted: Tensor

    def take(self, rows: Tensor, counted: Tensor | None = None) -> Rows:
        """Return copies of rows [P], other positions counted where `counted` bool [P, T] says so."""
        return Rows(self.inputs[rows], self.targets[rows], self.counted[rows] if counted is None else counted)


@dataclass(frozen=True)
class Stage:
    """A model and the layer whose neurons are ablated: block is its decoder layer, before those that precede it."""

    model: nn.Module
    neuron_map: NeuronMap
    head: Head
    layer: LayerNeurons
    block: nn.Module | None
    before: tuple[nn.Module, ...]
    last: bool

    def losses(self, rows: Rows) -> Tensor:
        """Return the NLL in nats [B, T] of the model as it stands, 0 where it does not count."""
        found = torch.zeros(rows.counted.shape, device=rows.inputs.device)
        found[rows.counted] = self.head.nll(rows.inputs, rows.targets, rows.counted)
        return found


class Way(Protocol):
    """One way of measuring; made for one batch with the losses of the intact model."""

    def changes(self, units: Tensor, at_once: int) -> Iterator[tuple[int, Tensor, int]]:
        """Yield (first place in units, summed change of NLL in nats per unit, float64, tokens run), chunk by chunk."""
        ...


def stage_of(model: nn.Module, neuron_map: NeuronMap, head: Head, layer: LayerNeurons) -> Stage:
    """Return the layer with the decoder layers before it: the modules of the outermost list that it stands in."""
    found = decoder_of(model, layer.name)
    if found is None:
        return Stage(model, neuron_map, head, layer, None, (), last=False)
    layers, place = found
    return Stage(model, neuron_map, head, layer, layers[place], tuple(layers[:place]), place == len(layers) - 1)


def choose(stage: Stage, rows: Rows) -> type[Subtracted | Replayed | Edited]:
    """Return the cheapest way that agrees with `apply_edits` on the neurons that do most in the first rows."""
    few = rows.take(torch.arange(min(2, len(rows.inputs))))
    intact = stage.losses(few)
    units = _busiest(stage, few)
    expected = [summed for _, summed, _ in Edited(stage, few, intact).changes(units, 1)]
    wanted = torch.cat(expected)
    bound = CLOSE * float(few.counted.sum()) ** 0.5 + CLOSE_SHARE * wanted.abs()
    for way in (Subtracted, Replayed):
        try:
            found = torch.cat([summed for _, summed, _ in way(stage, few, intact).changes(units, len(units) * 2)])
        except REFUSALS:
            continue
        if bool(((found - wanted).abs() <= bound).all()):
            return way
    return Edited


class Subtracted:
    """The layer's output less what the neuron wrote; see the module."""

    def __init__(self, stage: Stage, rows: Rows, intact: Tensor) -> None:
        segments = stage.layer.segments
        if stage.block is None or len(segments) != 1 or segments[0].routed or segments[0].passes != 1:
            raise ModelError("the layer is not one plain block of the decoder")
        down = segments[0].down
        weight = stage.model.get_parameter(down.parameter)
        if not weight.is_floating_point() or weight.ndim != 2 or not down.foldable:
            raise ModelError("the down projection is no plain matrix")
        self._stage, self._rows, self._intact, self._block = stage, rows, intact, stage.block
        self._written = weight.detach() if down.unit_dim == 0 else weight.detach().T  # [I, D]
        self._output, hidden, self._tuples = _cached(stage, rows, output=True)
        self._hidden = hidden.reshape(*rows.inputs.shape, -1)  # [B, T, I]
        fires = self._hidden != 0
        self._changed = (fires if stage.last else fires.cummax(dim=1).values) & rows.counted[..., None]

    def changes(self, units: Tensor, at_once: int) -> Iterator[tuple[int, Tensor, int]]:
        """Yield what `Way.changes` does, `at_once` pairs of unit and row at a time."""
        pairs = self._changed[:, :, units].any(dim=1).T.nonzero()  # [P, 2] of (place in units, row)
        result = torch.zeros(len(units), dtype=torch.float64)
        for chunk in torch.split(pairs, at_once):
            places, rows = chunk[:, 0], chunk[:, 1]
            chosen = units[places]
            some = self._rows.take(rows, self._changed[rows, :, chosen])
            made = self._output[rows] - self._hidden[rows, :, chosen][..., None] * self._written[chosen][:, None]
            results: dict[nn.Module, Tensor | None] = dict.fromkeys(self._stage.before)
            with standing_in({**results, self._block: made}, self._tuples):
                losses = self._stage.losses(some)
            change = ((losses - self._intact[rows]) * some.counted).sum(dim=1).double()
            result.index_add_(0, places, change)
            yield 0, torch.zeros(0, dtype=torch.float64), some.inputs.numel()
        yield 0, result, 0


class Replayed:
    """The layer run again on its input, the neuron at 0; see the module."""

    def __init__(self, stage: Stage, rows: Rows, intact: Tensor) -> None:
        if stage.block is None:
            raise ModelError("the layer is not one of a list of decoder layers")
        self._stage, self._rows, self._intact, self._block = stage, rows, intact, stage.block
        self._input, _, self._tuples = _cached(stage, rows, output=False)

    def changes(self, units: Tensor, at_once: int) -> Iterator[tuple[int, Tensor, int]]:
        """Yield what `Way.changes` does, as many units at once as fit into `at_once` rows."""
        stage, length = self._stage, self._rows.inputs.shape[1]
        every = torch.arange(len(self._rows.inputs))
        step = max(1, at_once // len(every))
        for start in range(0, len(units), step):
            chosen = units[start : start + step]
            rows, copies = every.repeat(len(chosen)), chosen.repeat_interleave(len(every))
            some = self._rows.take(rows)
            wanted = [(stage.layer, "hidden")]
            with (
                standing_in(dict.fromkeys(stage.before), self._tuples),
                given(self._block, self._input[rows]),
                visit_sites(stage.model, wanted, _silencer(copies, length)),
            ):
                losses = stage.losses(some)
            change = (losses - self._intact[rows]).double().sum(dim=1).reshape(len(chosen), -1).sum(dim=1)
            yield start, change, some.inputs.numel()


class Edited:
    """The whole model with one neuron switched off; see the module."""

    def __init__(self, stage: Stage, rows: Rows, intact: Tensor) -> None:
        self._stage, self._rows, self._intact = stage, rows, intact

    def changes(self, units: Tensor, at_once: int) -> Iterator[tuple[int, Tensor, int]]:  # noqa: ARG002 - one at a time
        """Yield what `Way.changes` does, one unit at a time."""
        stage = self._stage
        for place, unit in enumerate(units.tolist()):
            edit = Edit.zero(stage.layer.index, [unit])
            with apply_edits(stage.model, stage.neuron_map, [edit], backend="hook"):
                change = (stage.losses(self._rows) - self._intact).double().sum()
            yield place, change[None], self._rows.inputs.numel()


def _busiest(stage: Stage, rows: Rows) -> Tensor:
    """Return the units whose activation is largest somewhere in the rows."""
    largest = torch.zeros(stage.layer.width)

    def see(seen: Observation) -> None:
        if seen.layer == stage.layer.index and len(seen.values):
            part = slice(seen.first_unit, seen.first_unit + seen.values.shape[1])
            largest[part] = torch.maximum(largest[part], seen.values.abs().amax(dim=0).float())

    with observe(stage.model, stage.neuron_map, ("hidden",), see):
        stage.losses(rows)
    return largest.topk(min(TRIAL_NEURONS, stage.layer.width)).indices.sort().values


def _cached(stage: Stage, rows: Rows, *, output: bool) -> tuple[Tensor, Tensor, frozenset[nn.Module]]:
    """Return what the layer gives (or takes) [B, T, D], its activations [B * T, I], and which layers return tuples."""
    seen: dict[str, Tensor] = {}
    tuples: set[nn.Module] = set()

    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        if not isinstance(result, Tensor):
            tuples.add(module)
        if module is stage.block:
            seen["stream"] = _first(result) if output else stream_of(args, kwargs)

    def see(observed: Observation) -> None:
        if observed.layer == stage.layer.index:
            seen["hidden"] = observed.values.clone()

    with ExitStack() as undo:
        for module in (*stage.before, stage.block):
            if module is not None:
                undo.callback(module.register_forward_hook(hook, with_kwargs=True).remove)
        undo.enter_context(observe(stage.model, stage.neuron_map, ("hidden",), see))
        stage.losses(rows)
    return seen["stream"].clone(), seen["hidden"], frozenset(tuples)


def _silencer(units: Tensor, length: int) -> Callable[[SiteValues], Tensor | None]:
    """Return a visitor that sets unit `units[p]` to 0 in copy p, whose tokens are p * length and the following."""

    def visit(seen: SiteValues) -> Tensor:
        rows = torch.arange(len(seen.values)) if seen.rows is None else seen.rows
        wanted = units[(rows // length).clamp(0, len(units) - 1)] - seen.segment.first_unit
        inside = (wanted >= 0) & (wanted < seen.segment.units) & (rows >= 0)
        if seen.experts is not None:
            inside &= wanted // seen.segment.width == seen.experts
        places = inside.nonzero()[:, 0]
        changed = seen.values.clone()
        changed[places, wanted[places] % seen.segment.width] = 0
        return changed

    return visit


def _first(result: Any) -> Tensor:
    found: Tensor = result if isinstance(result, Tensor) else result[0]
    return found
