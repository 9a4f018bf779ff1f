"""Layer-wise relevance propagation as a backward pass: the gradient G that makes x * G the relevance of x.

Relevance R is handed from the output to the input so that every operation passes on what it was given. For R = x * G
that is a backward pass in which some operations have another gradient than their own; what the model computes stays
the same, bit for bit. The rules:

1. Linear maps and sums: R_i = sum_j x_i W_ji / z_j * R_j, the plain gradient; a bias keeps the share that it has in
   z_j (LRP-0: Bach et al., PLoS ONE 2015).
2. Normalisation y = w (x - m) / s + b: s is held constant; m is 0 in an RMS norm (LN-rule: Ali et al., ICML 2022, arXiv
   2202.07304).
3. Attention weights, and whatever else a softmax or a sigmoid gives, are held constant, so that all relevance goes
   through the values (AH-rule: the same paper).
4. Element-wise nonlinearity y = f(z): R_z = R_y, hence G_z = G_y f(z) / z, and 0 where z = 0 (identity rule: Achtibat
   et al., AttnLRP, ICML 2024, arXiv 2402.05602).
5. Product of gate and up projection: half of the relevance each (uniform rule: the same paper).

With 3 the whole model is linear in its embeddings and biases once the constants are held, so that their relevances sum
up to the output: that is how to find out whether the rules fit a model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from transformers import activations

from nharness.models.neuron_map import NeuronMap
from nharness.models.taps import SiteValues, visit_segment

WEIGHTS = frozenset({"softmax", "sigmoid"})
NONLINEAR = frozenset({"relu", "silu", "gelu", "tanh"})


@contextmanager
def relevance_rules(model: nn.Module, neuron_map: NeuronMap) -> Iterator[None]:
    """Give the model's operations the gradients of the rules above, as far as they are recognised; undone on leaving.

    Recognised are norms by their class (a `LayerNorm` of torch, or a name that ends in RMSNorm), activation functions
    that are modules of transformers, torch's relu, silu, gelu, tanh, softmax, sigmoid and fused attention by name, and
    products of gate and up projection by the neuron map.
    """
    with ExitStack() as undo:
        for module in model.modules():
            rule = _rule_of(module)
            if rule is not None:
                undo.callback(module.register_forward_hook(rule).remove)
        for layer in neuron_map.layers:
            for segment in layer.segments:
                if segment.gated:
                    undo.enter_context(visit_segment(model, (layer, segment, "hidden"), _halved))
        undo.enter_context(_Functions())
        yield


class _Functions(TorchFunctionMode):
    """Rules 3 and 4 for torch's own functions; the fused kernel's attention weights are what queries and keys make."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        given, name = dict(kwargs or {}), getattr(func, "__name__", "")
        if name == "scaled_dot_product_attention":
            args = (*(arg.detach() for arg in args[:2]), *args[2:])
            given |= {key: given[key].detach() for key in ("query", "key") if key in given}
        output = func(*args, **given)
        if not isinstance(output, Tensor):
            return output
        if name in NONLINEAR:
            return _scaled(None, args[:1], output)
        return output.detach() if name in WEIGHTS else output


def _rule_of(module: nn.Module) -> Any:
    kind = type(module)
    if isinstance(module, nn.LayerNorm):
        return _centred_norm
    if kind.__name__.endswith("RMSNorm"):
        return _scaled
    return _scaled if kind.__module__ == activations.__name__ else None


def _scaled(_: nn.Module | None, args: tuple[Any, ...], output: Any) -> Any:
    """Hold y / x constant, for every place by itself; what is more than one tensor in and one out is left alone."""
    if len(args) != 1 or not isinstance(args[0], Tensor) or not isinstance(output, Tensor):
        return output
    return _with_gradient_of(output, args[0] * _ratio(output, args[0]))


def _centred_norm(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
    """Hold (y - b) / (x - mean of x) constant, for every place by itself."""
    bias = module.bias if isinstance(module.bias, Tensor) else torch.zeros((), device=output.device, dtype=output.dtype)
    centred = args[0] - args[0].mean(-1, keepdim=True)
    return _with_gradient_of(output, centred * _ratio(output - bias, centred) + bias)


def _ratio(output: Tensor, given: Tensor) -> Tensor:
    zero = given == 0
    return torch.where(zero, 0.0, output / given.masked_fill(zero, 1.0)).to(output.dtype).detach()


def _with_gradient_of(value: Tensor, other: Tensor) -> Tensor:
    """Return the value, bit for bit, through which gradients pass as through the other."""
    return value.detach() + (other - other.detach())


def _halved(seen: SiteValues) -> Tensor:
    """Return the product, with half of its gradient for what it is made of."""
    return _with_gradient_of(seen.values, seen.values / 2)
