"""One batch forward and backward: what neurons did, and the gradient of what is asked for.

Legend: `B` rows of a batch, `T` its length, `V` vocabulary.

`loss`       the next-token NLL in nats, summed over the counted tokens of a batch
`relevance`  the logits of the tokens that come next, summed likewise, and not their gradient but the one that makes
             value times gradient a relevance (`nharness.models.relevance_rules`)

A token's activation is met by the gradient of all tokens after it. Gradients of weights are not computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn

from nharness.errors import ModelError
from nharness.models import NeuronMap, Observation, observe
from nharness.models.relevance_rules import relevance_rules
from nharness.recording.trunk import forward_of, input_embeddings, probe_tokens

Quantity = Literal["loss", "relevance"]
ROUNDING = 8
"""Steps of the model's own number format by which relevances may miss the output."""


def with_gradients(
    model: nn.Module,
    neuron_map: NeuronMap,
    sites: Sequence[str],
    quantity: Quantity = "loss",
    *,
    tokens: Tensor,
    counted: Tensor,
) -> Iterator[tuple[Observation, Tensor]]:
    """Run one batch forward and backward; yield what was observed and its gradient, [rows, n] both.

    tokens: int64 [B, T]; counted: bool [B, T].
    """
    seen: list[Observation] = []
    rules = relevance_rules(model, neuron_map) if quantity == "relevance" else nullcontext()
    with (
        torch.enable_grad(),
        _differentiable(model),
        rules,
        observe(model, neuron_map, sites, seen.append, detach=False),
    ):
        output = forward_of(model)(tokens)
        total = (summed_logits if quantity == "relevance" else summed_loss)(output, tokens, counted)
        gradients = torch.autograd.grad(total, [each.values for each in seen], allow_unused=True)
    for each, gradient in zip(seen, gradients, strict=True):
        detached = Observation(each.site, each.layer, each.first_unit, each.values.detach(), each.rows)
        yield detached, torch.zeros_like(detached.values) if gradient is None else gradient


def summed_loss(output: Any, tokens: Tensor, counted: Tensor) -> Tensor:
    """Return the NLL in nats, summed over the tokens that count and have a token before them in their row."""
    targets = tokens[:, 1:].masked_fill(~counted[:, 1:], -100)
    flat = _logits(output)[:, :-1]
    wide = flat if flat.dtype == torch.float64 else flat.float()
    return nn.functional.cross_entropy(
        wide.flatten(0, 1), targets.to(flat.device).flatten(), ignore_index=-100, reduction="sum"
    )


def summed_logits(output: Any, tokens: Tensor, counted: Tensor) -> Tensor:
    """Return the logits of the tokens that count and have a token before them in their row, summed."""
    logits = _logits(output)[:, :-1]
    given = logits.gather(2, tokens[:, 1:, None].to(logits.device))[:, :, 0]
    return given.masked_fill(~counted[:, 1:].to(logits.device), 0).sum()


def require_conserved(model: nn.Module, neuron_map: NeuronMap) -> None:
    """Raise `ModelError` when relevances of embeddings and biases do not sum up to the output: the rules do not fit."""
    tokens, rules = probe_tokens(model), relevance_rules(model, neuron_map)
    try:
        with torch.enable_grad(), _differentiable(model), _sources(model) as sources, rules:
            total = summed_logits(forward_of(model)(tokens), tokens, torch.ones_like(tokens, dtype=torch.bool))
            gradients = torch.autograd.grad(total, sources, allow_unused=True)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(_unfit(model, f"the backward pass fails ({str(error).splitlines()[0]})")) from error
    parts = [(x * g).detach().cpu().double() for x, g in zip(sources, gradients, strict=True) if g is not None]
    found, size = (sum(float(part.sum()) for part in some) for some in (parts, [part.abs() for part in parts]))
    wanted = float(total.detach())
    tolerance = max(1e-3, ROUNDING * torch.finfo(total.dtype).eps) * max(size, abs(wanted))
    if not abs(found - wanted) <= tolerance:
        raise ModelError(_unfit(model, f"of an output of {wanted:.4g}, {found:.4g} reaches the embeddings"))


def _unfit(model: nn.Module, what: str) -> str:
    return (
        f"layer-wise relevance propagation has no rules for all of {type(model).__name__}: {what}; "
        "use relevance=gradient_x_activation instead"
    )


def _logits(output: Any) -> Tensor:
    logits = getattr(output, "logits", None)
    if not isinstance(logits, Tensor):
        raise ModelError(f"attribution needs logits; the model returned {type(output).__name__} without any")
    return logits


@contextmanager
def _differentiable(model: nn.Module) -> Iterator[None]:
    """Let gradients start at the embeddings and pass by all parameters; undone on leaving.

    Raises `ModelError` for a model of which weights are offloaded, and for one without input embeddings.
    """
    offloaded = next((name for name, parameter in model.named_parameters() if parameter.is_meta), None)
    if offloaded is not None:
        raise ModelError(
            f"attribution needs all weights in memory, and {offloaded} is offloaded; load the model without device_map"
        )
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with ExitStack() as undo:
        for parameter in trained:
            parameter.requires_grad_(False)
            undo.callback(parameter.requires_grad_, True)
        embeddings = input_embeddings(model)
        if embeddings is None:
            raise ModelError(f"attribution needs input embeddings, and {type(model).__name__} names none")
        handle = embeddings.register_forward_hook(lambda _module, _args, output: output.requires_grad_(True))
        undo.callback(handle.remove)
        yield


@contextmanager
def _sources(model: nn.Module) -> Iterator[list[Tensor]]:
    """Yield a list of what output is made of: biases, and whatever embeddings give while the model runs."""
    with ExitStack() as undo:
        found: list[Tensor] = [p for name, p in model.named_parameters() if p.ndim == 1 and name.endswith("bias")]
        for bias in found:
            bias.requires_grad_(True)
            undo.callback(bias.requires_grad_, False)

        def keep(_module: nn.Module, _args: Any, output: Tensor) -> Tensor:
            found.append(output.detach().requires_grad_(True))
            return found[-1].clone()  # some models go on in place

        for module in model.modules():
            if isinstance(module, nn.Embedding):
                undo.callback(module.register_forward_hook(keep).remove)
        yield found
