"""Running a model without its LM head.

Legend: `B` rows of a batch, `T` its length.

What may be left out is decided by trying: a few tokens are run, and what the neurons did is compared.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from nharness.errors import ModelError
from nharness.models import NeuronMap, Observation, observe

Forward = Callable[[Tensor], Any]
PROBE = 12


def forward_of(module: nn.Module) -> Forward:
    """Return a call on token ids [B, T] that keeps no cache, if the module knows how not to."""
    parameters = inspect.signature(module.forward).parameters
    known = "use_cache" in parameters or any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    extra = {"use_cache": False} if known and hasattr(module, "config") else {}
    return lambda tokens: module(input_ids=tokens, **extra)


def find_trunk(model: nn.Module, neuron_map: NeuronMap) -> Forward:
    """Return the forward pass without the LM head, in which every neuron behaves exactly as in the whole model.

    Tried are the modules that transformers calls base model and decoder; the whole model is the answer where none of
    them gives the same bits.
    """
    tokens = probe_tokens(model)
    whole = forward_of(model)
    expected = activations(model, neuron_map, whole, tokens)
    for module in _candidates(model):
        forward = forward_of(module)
        try:
            got = activations(model, neuron_map, forward, tokens)
        except (TypeError, ValueError, RuntimeError):
            continue
        if len(got) == len(expected) and all(torch.equal(a, b) for a, b in zip(got, expected, strict=True)):
            return forward
    return whole


def probe_tokens(model: nn.Module) -> Tensor:
    """Return a few ordinary token ids [1, T]."""
    size = _vocabulary(model)
    return (torch.arange(PROBE, device=first_device(model))[None] * 7 + 5) % size


def first_device(model: nn.Module) -> torch.device:
    """Return the device on which token ids are expected: any, if all weights are offloaded, since they are moved."""
    parameters = [*(input_embeddings(model) or model).parameters(), *model.parameters()]
    parameter = next((each for each in parameters if not each.is_meta), None)  # offloaded weights are on no device
    if parameter is None and getattr(model, "hf_device_map", None):
        return torch.device("cpu")
    if parameter is None:
        raise ModelError(f"{type(model).__name__} has no parameters in memory; expected a loaded model")
    return parameter.device


@torch.inference_mode()
def activations(model: nn.Module, neuron_map: NeuronMap, forward: Forward, tokens: Tensor) -> list[Tensor]:
    """Return what all neurons did at the hidden site, in the order in which they ran."""
    found: list[Tensor] = []

    def keep(seen: Observation) -> None:
        found.append(seen.values.clone())

    with observe(model, neuron_map, ("hidden",), keep):
        forward(tokens)
    return found


def _candidates(model: nn.Module) -> Iterator[nn.Module]:
    head = _called(model, "get_output_embeddings")
    for name in ("base_model", "get_decoder"):
        module = _called(model, name)
        if isinstance(module, nn.Module) and module is not model and all(part is not head for part in module.modules()):
            yield module


def input_embeddings(model: nn.Module) -> nn.Module | None:
    """Return the module that turns token ids into vectors, where the model names one."""
    found = _called(model, "get_input_embeddings")
    return found if isinstance(found, nn.Module) else None


def _called(model: nn.Module, name: str) -> Any:
    found: Any = getattr(model, name, None)
    return found() if callable(found) and not isinstance(found, nn.Module) else found


def _vocabulary(model: nn.Module) -> int:
    weight = getattr(input_embeddings(model), "weight", None)
    return int(weight.shape[0]) if isinstance(weight, Tensor) else 100
