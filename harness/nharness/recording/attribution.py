"""`attribution`: activation times the gradient of the loss, the first-order estimate of what zeroing a neuron changes.

Legend: `M` neurons, `B` rows of a batch, `T` its length, `V` vocabulary.

The loss is the summed next-token NLL, in nats, of the counted tokens of a batch; a token's activation is met by the
gradient of all tokens after it. One backward pass a batch; gradients of weights are not computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nharness.errors import ModelError
from nharness.models import NeuronMap, Observation, observe
from nharness.recording.accumulator import Accumulator, Piece, Shard
from nharness.recording.trunk import forward_of, input_embeddings


class Attribution(Accumulator):
    """Sums over tokens of x = a * dLoss/da, of its square and of its absolute value; float64 [M]."""

    name = "attribution"
    gradient = True

    def __init__(self, shard: Shard) -> None:
        super().__init__(shard)
        self.sums = {part: torch.zeros(shard.size, dtype=torch.float64, device=shard.device)
                     for part in ("sum", "sumsq", "abssum")}  # fmt: skip

    def add(self, piece: Piece) -> None:
        """Add the three sums."""
        if piece.gradient is None:
            raise ModelError("attribution needs gradients; the recording pass gave none")
        product, scratch = piece.values.to(torch.float32) * piece.gradient.to(torch.float32), self.shard.scratch
        if piece.values.dtype == torch.float64:
            product = piece.values * piece.gradient
        self.sums["sum"][piece.columns] += scratch.column_sums(product)
        self.sums["sumsq"][piece.columns] += scratch.column_sums(product * product)
        self.sums["abssum"][piece.columns] += scratch.column_sums(product.abs())

    def tensors(self) -> dict[str, NDArray[Any]]:
        """`sum`, `sumsq`, `abssum`."""
        return {part: total.cpu().numpy() for part, total in self.sums.items()}


def with_gradients(
    model: nn.Module, neuron_map: NeuronMap, sites: Sequence[str], *, tokens: Tensor, counted: Tensor
) -> Iterator[tuple[Observation, Tensor]]:
    """Run one batch forward and backward; yield what was observed and its gradient, [rows, n] both.

    tokens: int64 [B, T]; counted: bool [B, T].
    """
    seen: list[Observation] = []
    with torch.enable_grad(), _differentiable(model), observe(model, neuron_map, sites, seen.append, detach=False):
        loss = summed_loss(forward_of(model)(tokens), tokens, counted)
        gradients = torch.autograd.grad(loss, [each.values for each in seen], allow_unused=True)
    for each, gradient in zip(seen, gradients, strict=True):
        detached = Observation(each.site, each.layer, each.first_unit, each.values.detach(), each.rows)
        yield detached, torch.zeros_like(detached.values) if gradient is None else gradient


def summed_loss(output: Any, tokens: Tensor, counted: Tensor) -> Tensor:
    """Return the NLL in nats, summed over the tokens that count and have a token before them in their row."""
    logits = getattr(output, "logits", None)
    if not isinstance(logits, Tensor):
        raise ModelError(f"attribution needs logits; the model returned {type(output).__name__} without any")
    targets = tokens[:, 1:].masked_fill(~counted[:, 1:], -100).to(logits.device)
    flat = logits[:, :-1].reshape(-1, logits.shape[-1])
    return nn.functional.cross_entropy(
        flat if flat.dtype == torch.float64 else flat.float(), targets.reshape(-1), ignore_index=-100, reduction="sum"
    )


@contextmanager
def _differentiable(model: nn.Module) -> Iterator[None]:
    """Let gradients start at the embeddings and pass by all parameters; undone on leaving."""
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
