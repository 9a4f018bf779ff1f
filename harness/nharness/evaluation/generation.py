"""Open-ended generation in batches, under whatever edit is active.

Legend: `B` prompts of a batch, `T` tokens of its longest prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LogitsProcessor, LogitsProcessorList

from nharness.errors import CellError
from nharness.evaluation.checkpoint_decoding import own_decoding
from nharness.evaluation.decoding import Decoding
from nharness.models.context import longest_context
from nharness.models.padding import only_text_written
from nharness.models.trace import evaluating

CPU_BATCH, DEVICE_BATCH = 8, 64


@dataclass(frozen=True)
class Written:
    """What a model wrote after one prompt.

    id, cluster: as of an item. prompt: token ids, int64 [n]. tokens: token ids written, int64 [m], end mark left out.
    text: those tokens as text.
    """

    id: str
    cluster: str
    prompt: NDArray[np.int64]
    tokens: NDArray[np.int64]
    text: str


@dataclass(frozen=True)
class Prompt:
    """Where a model goes on from: an id, a cluster, and token ids int64 [n], n at least 1."""

    id: str
    cluster: str
    tokens: NDArray[np.int64]


def batch_size_for(model: Any) -> int:
    """Return how many prompts go into a batch on the model's device unless told otherwise."""
    return CPU_BATCH if model.device.type == "cpu" else DEVICE_BATCH


def prompt_tokens(tokenizer: Any, text: str) -> NDArray[np.int64]:
    """Return a text as token ids to go on from: with what the tokenizer puts before it, not what it puts after it."""
    made = tokenizer(text, return_special_tokens_mask=True)
    body = np.flatnonzero(~np.asarray(made["special_tokens_mask"], dtype=bool))
    tokens = np.asarray(made["input_ids"], dtype=np.int64)
    return tokens[: int(body[-1]) + 1] if len(body) else tokens


def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    *,
    decoding: Decoding | None = None,
    batch_size: int | None = None,
    together: int | None = None,
) -> tuple[Written, ...]:
    """Return what the model writes after each prompt, in order; greedy decoding gives the same every time.

    together: longest text that may share a forward pass with others, None for any (`LoadedModel.together`). Raises
    `CellError` when the model's logits are not numbers, or its context is too short. Nothing that the checkpoint says
    of decoding counts.
    """
    chosen = decoding or Decoding()
    longest = max((len(prompt.tokens) for prompt in prompts), default=0) + chosen.max_new_tokens
    alone = together is not None and longest > together
    size = 1 if alone else batch_size or batch_size_for(model)
    found: dict[int, Written] = {}
    limit = longest_context(model)
    if limit is not None and longest > limit:
        raise CellError(f"prompts with their outputs are up to {longest} tokens, but the model reads at most {limit}")
    sampled = torch.random.fork_rng(enabled=chosen.temperature > 0)
    with torch.inference_mode(), evaluating(model), own_decoding(model), sampled:
        if chosen.temperature > 0:
            torch.manual_seed(chosen.seed)
        for rows in _by_length(prompts, size):
            batch = [prompts[row] for row in rows]
            found.update(zip(rows, _write(model, tokenizer, batch, chosen), strict=True))
    return tuple(found[row] for row in range(len(prompts)))


def _by_length(prompts: Sequence[Prompt], size: int) -> Iterator[list[int]]:
    order = sorted(range(len(prompts)), key=lambda row: len(prompts[row].tokens))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _write(model: Any, tokenizer: Any, prompts: Sequence[Prompt], decoding: Decoding) -> list[Written]:
    end = tokenizer.eos_token_id
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else end or 0
    longest = max(len(prompt.tokens) for prompt in prompts)
    ids = torch.full((len(prompts), longest), pad, dtype=torch.int64)  # [B, T], padded on the left
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt.tokens) :] = torch.from_numpy(prompt.tokens)
        mask[row, longest - len(prompt.tokens) :] = 1
    sampling = {"temperature": decoding.temperature, "top_p": decoding.top_p} if decoding.temperature else {}
    with only_text_written(model, mask, () if end is None else (end,)):
        output = model.generate(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            max_new_tokens=decoding.max_new_tokens,
            do_sample=bool(sampling),
            pad_token_id=pad,
            eos_token_id=end,
            logits_processor=LogitsProcessorList([_Numbers()]),
            **sampling,
        )
    rows = output[:, longest:].cpu()
    return [_written(tokenizer, prompt, row, end) for prompt, row in zip(prompts, rows, strict=True)]


def _written(tokenizer: Any, prompt: Prompt, row: torch.Tensor, end: int | None) -> Written:
    tokens = row.numpy().astype(np.int64)
    ends = np.flatnonzero(tokens == end) if end is not None else np.array([], dtype=np.int64)
    tokens = tokens[: int(ends[0])] if ends.size else tokens
    return Written(prompt.id, prompt.cluster, prompt.tokens, tokens, str(tokenizer.decode(tokens.tolist())))


class _Numbers(LogitsProcessor):
    """Stops generation at the first logit that is no number."""

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002 - its signature
        if bool(torch.isnan(scores).any()):
            raise CellError("a logit is NaN during generation; try dtype=float32 or a weaker intervention")
        return scores
