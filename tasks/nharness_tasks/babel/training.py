"""The training loop, resumable from a checkpoint at the exact step.

Shapes: B batch, T sequence length, V vocabulary.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional
from transformers import LlamaForCausalLM

from nharness_tasks.babel.recipe import Training
from nharness_tasks.babel.sequences import SequenceSource

LOG_EVERY = 20


@dataclass(frozen=True)
class LogLine:
    """One line of the log: loss in nats per token, averaged since the last line."""

    step: int
    loss: float
    tokens_per_second: float


def learning_rate(step: int, recipe: Training) -> float:
    """Linear warm-up to the peak, then half a cosine down to `final_rate_share` of it."""
    if step < recipe.warm_up_steps:
        return recipe.peak_rate * (step + 1) / recipe.warm_up_steps
    done = (step - recipe.warm_up_steps) / max(1, recipe.steps - recipe.warm_up_steps)
    share = recipe.final_rate_share + (1 - recipe.final_rate_share) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return recipe.peak_rate * share


def optimizer_for(network: LlamaForCausalLM, recipe: Training) -> torch.optim.AdamW:
    """AdamW with weight decay for matrices but not for norms."""
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": recipe.matrix_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.peak_rate, betas=recipe.betas, fused=True)


def train(
    network: LlamaForCausalLM,
    source: SequenceSource,
    recipe: Training,
    checkpoint: Path,
    on_checkpoint: Callable[[int], None],
) -> Iterator[LogLine]:
    """Train to the last step or `stop`, from the checkpoint if there is one; yields progress every `LOG_EVERY` steps.

    The state is written, and `on_checkpoint` called with the number of steps done, every `checkpoint_seconds`, at the
    steps of `stages` and at the end.
    """
    stages = dict(recipe.stages).values()
    optimizer = optimizer_for(network, recipe)
    first = _resume(network, optimizer, checkpoint)
    losses: list[float] = []
    saved = lap = time.monotonic()
    network.train()
    last = recipe.steps if recipe.stop is None else recipe.stop
    for step in range(first, last):
        losses.append(
            _step(network, optimizer, torch.from_numpy(source.batch(step)), learning_rate(step, recipe), recipe)
        )
        if (step + 1) % LOG_EVERY == 0:
            tokens = len(losses) * recipe.sequence * recipe.sequences_per_language * len(source.documents)
            now = time.monotonic()
            yield LogLine(step + 1, sum(losses) / len(losses), tokens / (now - lap))
            losses, lap = [], now
        due = time.monotonic() - saved > recipe.checkpoint_seconds
        if due or step + 1 in stages or step + 1 == last:
            _save(network, optimizer, step + 1, checkpoint)
            on_checkpoint(step + 1)
            saved = time.monotonic()


def _step(
    network: LlamaForCausalLM, optimizer: torch.optim.AdamW, tokens: torch.Tensor, rate: float, recipe: Training
) -> float:
    """One update on tokens [B, T]; the mean loss in nats per predicted token."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(input_ids=tokens, use_cache=False).logits  # [B, T, V]
        loss = functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_norm)
    optimizer.step()
    return float(loss.detach())


def _save(network: LlamaForCausalLM, optimizer: torch.optim.AdamW, step: int, checkpoint: Path) -> None:
    partial = checkpoint.with_suffix(".partial")
    torch.save({"network": network.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, partial)
    partial.replace(checkpoint)


def _resume(network: LlamaForCausalLM, optimizer: torch.optim.AdamW, checkpoint: Path) -> int:
    """The step to continue from: 0, or the checkpoint's, whose state is loaded."""
    if not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, weights_only=True)
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])
