"""Find the neurons of any causal language model, by structure and one traced forward pass.

1. Run a few tokens through the model and follow the data (`trace.py`, `flow.py`): every vector that is an elementwise,
   nonlinear function of projections of one input, and is itself projected back to that input's width, is the hidden
   vector of a feed-forward block.
2. Find the module whose input the hidden vector is, and whose output the gate is; where there is none (functional
   activation, fused experts) remember the weights; such sites are reached by following the data when they are needed.
3. Group the blocks by decoder layer: the module path up to its first number.

4. A projection whose result goes through an activation function itself gates something else: no feed-forward block.

No name of a model, class or folder decides anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import nn

from nharness.errors import ModelError
from nharness.models.flow import Leaf
from nharness.models.neuron_map import SITES, UP, DownProjection, LayerNeurons, ModuleTap, NeuronMap, Segment
from nharness.models.trace import TRACE_BATCH, TRACE_LENGTH, FoundBlock, Trace, common_prefix, trace

Architecture = Callable[[nn.Module], NeuronMap | None]


def locate(model: nn.Module, plugins: Sequence[Architecture] = ()) -> NeuronMap:
    """Return where the neurons of `model` are.

    Each of `plugins` is asked first, in order; the first that does not return None decides. A model in which no
    feed-forward block is found, or that cannot be run on token ids alone, raises ModelError naming the model's class
    and the reason.
    """
    for plugin in plugins:
        found = plugin(model)
        if found is not None:
            return found
    traced = trace(model)
    blocks = [block for block in _distinct(traced.blocks) if block.parameter not in traced.activated]
    if not blocks:
        raise ModelError(
            f"no feed-forward block found in {type(model).__name__}: no projection takes an elementwise nonlinear "
            "function of projections of one vector back to the width of that vector"
        )
    _require_tokens(model, blocks)
    return NeuronMap(tuple(_layer(model, traced, index, group) for index, group in enumerate(_grouped(blocks))))


def _require_tokens(model: nn.Module, blocks: Sequence[FoundBlock]) -> None:
    """Refuse a model in which a feed-forward block does not see one vector per token."""
    tokens = TRACE_BATCH * TRACE_LENGTH
    for block in blocks:
        seen = math.prod(block.shape[:-1])
        if not block.routed and seen != tokens:
            raise ModelError(
                f"{type(model).__name__}: {block.path} sees {seen} vectors for {tokens} tokens, so activations "
                "cannot be assigned to tokens; give `plugins=` a callable that returns its NeuronMap"
            )


def _distinct(blocks: Sequence[FoundBlock]) -> list[FoundBlock]:
    """Keep the first meeting with each down projection in each place: experts are met once each."""
    seen: dict[tuple[str, str], FoundBlock] = {}
    for block in blocks:
        seen.setdefault((block.parameter, block.path), block)
    return list(seen.values())


def _grouped(blocks: Sequence[FoundBlock]) -> list[list[FoundBlock]]:
    """Group blocks by decoder layer, in order of first use; dense blocks before routed ones."""
    groups: dict[str, list[FoundBlock]] = {}
    for block in blocks:
        groups.setdefault(_layer_path(block.path), []).append(block)
    return [sorted(group, key=lambda block: block.routed) for group in groups.values()]


def _layer_path(path: str) -> str:
    """Return `path` up to its first number: `model.layers.3.mlp` -> `model.layers.3`."""
    parts = path.split(".")
    numbers = [position for position, part in enumerate(parts) if part.isdigit()]
    return ".".join(parts[: numbers[0] + 1]) if numbers else path


def _layer(model: nn.Module, traced: Trace, index: int, group: Sequence[FoundBlock]) -> LayerNeurons:
    """Describe one decoder layer."""
    segments: list[Segment] = []
    for block in group:
        first = sum(segment.units for segment in segments)
        segments.append(_segment(model, traced, block, first))
    experts = sum(segment.experts for segment in segments if segment.routed) or 1
    gated = all(segment.gated for segment in segments)
    return LayerNeurons(
        index=index,
        name=_common_path([segment.block for segment in segments]),
        width=sum(segment.units for segment in segments),
        sites=(*SITES, UP) if gated else SITES,
        experts=experts,
        segments=tuple(segments),
    )


def _common_path(paths: Sequence[str]) -> str:
    """Return the longest module path that all of `paths` begin with."""
    return ".".join(common_prefix([path.split(".") for path in paths]))


def _segment(model: nn.Module, traced: Trace, block: FoundBlock, first_unit: int) -> Segment:
    """Describe one feed-forward block."""
    product = block.flow.product
    model_width = next(iter(block.flow.leaves)).width
    experts = math.prod(block.parameter_shape) // (block.width * model_width) if block.routed else 1
    taps = {} if block.routed else _module_taps(traced, block)
    return Segment(
        first_unit=first_unit,
        experts=experts,
        width=block.width,
        routed=block.routed,
        gated=product is not None,
        block=block.path,
        down=_down_projection(model, block),
        taps=taps,
        gate_leaves=_leaf_keys(model, block, product.gate_leaves if product else block.flow.leaves),
        up_leaves=_leaf_keys(model, block, product.up_leaves if product else frozenset()),
        time_first=not block.routed and block.shape[:-1] == (TRACE_LENGTH, TRACE_BATCH),
        told=block.routed and block.path in traced.told,
        passes=traced.calls.get(block.path, 1),
    )


def _leaf_keys(model: nn.Module, block: FoundBlock, leaves: frozenset[Leaf]) -> frozenset[tuple[str, str]]:
    return frozenset((_name_inside(model, block, leaf.parameter), leaf.part) for leaf in leaves)


def _name_inside(model: nn.Module, block: FoundBlock, parameter: str) -> str:
    """Return the name that a parameter has inside the block: a weight shared by two blocks has a name in each."""
    path = block.path
    prefix = f"{path}." if path else ""
    if parameter.startswith(prefix):
        return parameter
    wanted = dict(model.named_parameters(remove_duplicate=False)).get(parameter)
    inside = model.get_submodule(path).named_parameters(remove_duplicate=False)
    return next((f"{prefix}{name}" for name, value in inside if value is wanted), parameter)


def _module_taps(traced: Trace, block: FoundBlock) -> dict[str, ModuleTap]:
    """Return the sites of a dense block that are a module's input or output.

    A module that runs more often than the block is shared with another block, and of no use.
    """
    taps: dict[str, ModuleTap] = {}
    passes = traced.calls[block.path]
    takers = [name for name in traced.took.get(block.hidden_root, ()) if traced.calls[name] == passes]
    if takers:
        taps["hidden"] = ModuleTap(takers[-1], "input")
    product = block.flow.product
    for site, root in () if product is None else (("gate", product.gate), (UP, product.up)):
        givers = [name for name in traced.gave.get(root, ()) if traced.calls[name] == passes]
        if givers:
            taps[site] = ModuleTap(givers[0], "output")
    return taps


def _down_projection(model: nn.Module, block: FoundBlock) -> DownProjection:
    """Describe the weight that takes the hidden vector."""
    parameter = _name_inside(model, block, block.parameter)
    owner, _, _ = parameter.rpartition(".")
    alone = len(block.parameter_shape) == 2
    return DownProjection(
        parameter=parameter,
        unit_dim=block.weight_unit_dim,
        module=owner if alone else None,
        foldable=block.exact and block.flow.settled is None,
    )
