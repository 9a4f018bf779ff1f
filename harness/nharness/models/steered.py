"""An edit as lm-eval's model `steered` has it: one vector added to a module's output, or one direction of it clamped.

Legend: `D` model width, `I` neurons of a layer.

1. A shift at the hidden site, h + d, is W_down d [D] added to what the down projection gives: the same numbers.
2. A shift at the gate is added where a module gives the gate [I].
3. One neuron of a layer set to a value is that module's output clamped along the neuron's axis. Set to 0 at the hidden
   site it is clamped at the gate, since 0 times anything is 0.

Nothing else can be said there: a module takes one vector, so that several neurons of a layer cannot be held, and none
scaled.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from nharness.atomic import write_bytes
from nharness.errors import ModelError, UsageError
from nharness.models.edit import AnyEdit, SitePlan, plan_edits
from nharness.models.neuron_map import LayerNeurons, NeuronMap, Segment

Action = Literal["add", "clamp"]
SteerConfig = Mapping[str, Mapping[str, Any]]
SUFFIXES = (".pt", ".pth")


def steer_config(model: PreTrainedModel, neuron_map: NeuronMap, edits: Sequence[AnyEdit]) -> SteerConfig:
    """Return what a file for lm-eval's `steer_path` holds: by module below `model.base_model`, action and vector.

    Raises `ModelError` naming the layer where the edit cannot be said there, and for an edit of nothing.
    """
    plan = plan_edits(neuron_map, edits)
    if not plan:
        raise ModelError("nothing to export: the edit names no neurons")
    found: dict[str, Mapping[str, Any]] = {}
    for (index, site), edit in sorted(plan.items(), key=lambda each: each[0]):
        layer = neuron_map.layers[index]
        try:
            module, action, vector, coefficient = _steered(model, layer, site, edit)
            name = _below_base(model, module)
        except _NotSaidError as why:
            raise ModelError(f"layer {index} ({layer.name}) cannot be steered so by lm-eval: {why}") from None
        found[name] = {"action": action, "steering_vector": vector, "steering_coefficient": coefficient}
    return found


class _NotSaidError(Exception):
    """Why an edit is none of lm-eval's."""


def _steered(
    model: PreTrainedModel, layer: LayerNeurons, site: str, edit: SitePlan
) -> tuple[nn.Module, Action, Tensor, float]:
    """Return the module, what is done to its output, the vector [D] or [I], and its coefficient."""
    if len(layer.segments) != 1 or layer.experts != 1:
        raise _NotSaidError("its experts are not modules of their own")
    if edit.values:
        raise _NotSaidError("its edit is not affine")
    segment = layer.segments[0]
    scale, shift = edit.scale[edit.touched], edit.shift[edit.touched]
    if bool((scale == 1).all()):
        if site == "hidden" or not segment.gated:
            return (*_down(model, segment, edit.shift), 1.0)
        return _giver(model, segment, site), "add", edit.shift, 1.0
    if bool((scale != 0).any()):
        raise _NotSaidError("it adds or holds, and does not scale")
    if len(scale) > 1:
        raise _NotSaidError(f"it holds one direction of a module, not {len(scale)} neurons")
    if site == "hidden" and segment.gated:
        if float(shift) != 0:
            raise _NotSaidError("no module gives the hidden activation, so it can be held at 0 only")
        site = "gate"
    return _giver(model, segment, site), "clamp", edit.touched.float(), float(shift)


def _down(model: PreTrainedModel, segment: Segment, shift: Tensor) -> tuple[nn.Module, Action, Tensor]:
    """Return the down projection and what a shift [I] of its input adds to its output [D]."""
    if segment.down.module is None or not segment.down.foldable:
        raise _NotSaidError("its down projection is no linear module")
    weight = model.get_parameter(segment.down.parameter).detach().float().cpu()
    if segment.down.unit_dim == 1:
        weight = weight.T
    return model.get_submodule(segment.down.module), "add", shift @ weight


def _giver(model: PreTrainedModel, segment: Segment, site: str) -> nn.Module:
    """Return the module whose output is the site."""
    tap = segment.tap(site)
    if tap is None or tap.end != "output" or tap.columns is not None:
        raise _NotSaidError(f"no module gives the {site} activation")
    return model.get_submodule(tap.module)


def _below_base(model: PreTrainedModel, module: nn.Module) -> str:
    """Return the module's name below `model.base_model`, by which lm-eval finds it."""
    names: list[str] = [name for name, each in model.base_model.named_modules(remove_duplicate=False) if each is module]
    if len(names) != 1:
        raise _NotSaidError(f"the module has {len(names)} names below {type(model.base_model).__name__}, expected one")
    return names[0]


def export_steered(model: PreTrainedModel, neuron_map: NeuronMap, edits: Sequence[AnyEdit], path: Path) -> None:
    """Write the file that lm-eval's `steer_path` takes: tensors, numbers and texts, as `torch.save` writes them.

    Raises `UsageError` for a name that lm-eval would not read, and `ModelError` as `steer_config` does.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path}: lm-eval reads a steering file by its end, expected {' or '.join(SUFFIXES)}")
    written = io.BytesIO()
    torch.save({name: dict(each) for name, each in steer_config(model, neuron_map, edits).items()}, written)
    write_bytes(path, written.getvalue())
