"""Fold edits of the hidden site into the down projection, and put every bit back.

`W (s*h + c) + b = (W s) h + (W c + b)`: a scale multiplies columns of the weight, a shift goes into the bias. Only the
columns that change are saved. Shapes: `D` model width, `I` neurons, `n` units changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from nharness.models.edit import Plan, SitePlan
from nharness.models.neuron_map import LayerNeurons, NeuronMap, Segment

EXACT_SCALES = (0.0, 1.0, -1.0)
WIDE = (torch.float32, torch.float64)


def why_not_foldable(model: nn.Module, neuron_map: NeuronMap, plan: Plan) -> str | None:
    """Return why the plan cannot be folded into the weights of `model`, or None when it can."""
    owners = _owners(model)
    for (index, site), edits in plan.items():
        layer = neuron_map.layers[index]
        for segment in _touched_segments(layer, edits):
            reason = _segment_reason(model, segment, edits, site, owners)
            if reason is not None:
                return f"layer {index} ({layer.name}): {reason}"
    return None


def why_not_exact(model: nn.Module, neuron_map: NeuronMap, plan: Plan) -> str | None:
    """Return why folding would round otherwise than editing does, or None: low-precision weights are only zeroed."""
    for (index, _), edits in plan.items():
        chosen = edits.scale[edits.touched]
        plain = not edits.shifts and bool(torch.isin(chosen, torch.tensor(EXACT_SCALES)).all())
        for segment in _touched_segments(neuron_map.layers[index], edits):
            weight = model.get_parameter(segment.down.parameter)
            if not plain and weight.dtype not in WIDE:
                return f"scaling {weight.dtype} weights rounds them"
    return None


@contextmanager
def fold_edits(model: nn.Module, neuron_map: NeuronMap, plan: Plan) -> Iterator[None]:
    """Change the weights for the duration of the context; what was changed is restored bit for bit."""
    with ExitStack() as undo:
        for (index, _), edits in plan.items():
            for segment in _touched_segments(neuron_map.layers[index], edits):
                _fold_segment(model, segment, edits, undo)
        yield


def _touched_segments(layer: LayerNeurons, edits: SitePlan) -> list[Segment]:
    return [s for s in layer.segments if bool(edits.touched[s.first_unit : s.first_unit + s.units].any())]


def _owners(model: nn.Module) -> dict[int, int]:
    """Return how many names each parameter has."""
    count: dict[int, int] = {}
    for _, parameter in model.named_parameters(remove_duplicate=False):
        count[id(parameter)] = count.get(id(parameter), 0) + 1
    return count


def _segment_reason(
    model: nn.Module, segment: Segment, edits: SitePlan, site: str, owners: dict[int, int]
) -> str | None:
    """Return why one segment cannot be folded."""
    inside = slice(segment.first_unit, segment.first_unit + segment.units)
    shifts = bool((edits.shift[inside] != 0).any())
    if edits.values:
        return "its edit is not affine"
    if site == "gate" and segment.gated and shifts:
        return "a constant at the gate is not a constant at the hidden site"
    weight = dict(model.named_parameters(remove_duplicate=False)).get(segment.down.parameter)
    if weight is None or weight.dtype.itemsize < 2 or not weight.dtype.is_floating_point:
        return f"{segment.down.parameter} is quantised"
    if not segment.down.foldable:
        return "its hidden vector is normalised or its weight re-shaped before the down projection"
    if type(weight) is not nn.Parameter:
        return f"{segment.down.parameter} is a {type(weight).__name__}, no plain parameter"
    if weight.device.type == "meta":
        return f"{segment.down.parameter} is offloaded"
    if owners[id(weight)] > 1:
        return f"{segment.down.parameter} is shared with another module"
    if shifts and not _can_have_bias(model, segment):
        return "its down projection cannot be given a bias for the constants"
    return None


def _can_have_bias(model: nn.Module, segment: Segment) -> bool:
    """True when the down projection is a module of its own with a bias, or one that takes one."""
    if segment.down.module is None:
        return False
    module = model.get_submodule(segment.down.module)
    bias = getattr(module, "bias", None)
    return isinstance(bias, nn.Parameter) or (bias is None and type(module) is nn.Linear)


def _fold_segment(model: nn.Module, segment: Segment, edits: SitePlan, undo: ExitStack) -> None:
    """Change the weights of one segment; what undoes it goes onto `undo` before anything is changed."""
    inside = slice(segment.first_unit, segment.first_unit + segment.units)
    units = edits.touched[inside].nonzero().reshape(-1)
    scale, shift = edits.scale[inside][units], edits.shift[inside][units]
    weight = model.get_parameter(segment.down.parameter)
    with _writable(weight):
        if bool((shift != 0).any()):
            _fold_shift(model, segment, (weight, units.to(weight.device), shift.to(weight.device)), undo)
        for expert in sorted(set((units // segment.width).tolist())):
            chosen = units // segment.width == expert
            dim = segment.down.unit_dim
            bank, dim = (weight[expert], dim - 1) if weight.ndim == 3 else (weight, dim)
            local = (units[chosen] % segment.width).to(weight.device)
            _scale_columns(bank, dim, local, scale[chosen].to(weight.device, weight.dtype), undo)


def _scale_columns(bank: Tensor, dim: int, units: Tensor, scale: Tensor, undo: ExitStack) -> None:
    """Multiply the columns of `units` by `scale`."""
    saved = bank.index_select(dim, units).clone()
    undo.callback(_put_back, bank, dim, units, saved)
    shape = [1, 1]
    shape[dim] = -1
    bank.index_copy_(dim, units, saved * scale.reshape(shape))


def _fold_shift(model: nn.Module, segment: Segment, columns: tuple[Tensor, Tensor, Tensor], undo: ExitStack) -> None:
    """Add what the constants contribute to the output to the bias; add a bias where there is none."""
    weight, units, shift = columns
    module = model.get_submodule(segment.down.module or "")
    picked = weight.index_select(segment.down.unit_dim, units).double()
    added = picked @ shift.double() if segment.down.unit_dim == 1 else shift.double() @ picked
    bias = module.bias
    if isinstance(bias, nn.Parameter):
        saved = bias.detach().clone()
        undo.callback(_copy_back, bias, saved)
        bias.copy_((saved.double() + added).to(bias.dtype))
    else:
        undo.callback(_set_bias(module, None))
        _set_bias(module, nn.Parameter(added.to(weight.dtype), requires_grad=False))()


def _set_bias(module: nn.Module, bias: nn.Parameter | None) -> Callable[[], None]:
    def put() -> None:
        module.register_parameter("bias", bias)

    return put


def _put_back(bank: Tensor, dim: int, units: Tensor, saved: Tensor) -> None:
    with _writable(bank):
        bank.index_copy_(dim, units, saved)


def _copy_back(bias: nn.Parameter, saved: Tensor) -> None:
    with _writable(bias):
        bias.copy_(saved)


def _writable(tensor: Tensor) -> torch.no_grad | torch.inference_mode:
    """Return the context in which the values of `tensor` may be changed in place."""
    return torch.inference_mode() if tensor.is_inference() else torch.no_grad()
