"""What the logits of a text depend on besides the text so far, asked of the model itself by a few short passes.

Legend: `B` rows of a batch, `T` its length, `V` vocabulary.

1. A batch of two rows is run: a text with a tail, and a neighbour as long as both. It is run again with another tail
   and another neighbour, in the same shape: no logit of the text itself may move.
2. The text is run alone, without tail and neighbour: its logits may differ by rounding and by no more.
3. Where something moved, each change is made by itself, and the same batch is run twice, which tells a model that
   draws by chance.

A movement is the root mean square over V at the text's position that moved most, as a share of what another tail does
to its own logits: 0 to about 1. Rounding is allowed for by the number type; experts may route a token elsewhere after a
rounding, so that a movement in coarse types counts only where two different changes make it. A model that gives the
same logits to every text has none.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from nharness.errors import ModelError
from nharness.models.context import longest_context, shared_length, text_config, vocabulary_of
from nharness.models.trace import evaluating, input_device, is_opaque_linear

TEXT, TAIL = 8, 8
SAME_SHAPE = {torch.float32: 1e-4, torch.float64: 1e-9}  # coarser types: 1e-2; random models that read ahead: 5e-2
OTHER_SHAPE = {torch.float32: 1e-3, torch.float64: 1e-8}  # coarser types: 0.1, of which rounding alone makes up to 0.04
Batching = Literal["batched", "one document at a time"]
BATCHED: Batching = "batched"
ALONE: Batching = "one document at a time"
FAILURES = (TypeError, ValueError, RuntimeError, IndexError, AttributeError, KeyError, NotImplementedError)


@dataclass(frozen=True)
class Dependence:
    """What moves the logits of a text: nothing but the text so far, unless a field says so.

    later, neighbour, repeated: the movement when later tokens change, when the batch neighbour does, when nothing
    does; 0 where it is rounding. together: the most tokens of rows that may share a forward pass, None for any
    number, 0 where every row is run alone.
    """

    later: float = 0.0
    neighbour: float = 0.0
    repeated: float = 0.0
    together: int | None = None


def dependence_of(model: Any) -> Dependence:
    """Return what the logits of `model` depend on; the model is left as it was.

    Raises `ModelError` when it cannot be run on token ids alone.
    """
    passes = _Passes(model)
    with torch.inference_mode(), evaluating(model):
        later, neighbour, repeated = passes.same_shape()
        if max(later, neighbour, repeated):
            return Dependence(later, neighbour, repeated, 0)
        return Dependence(together=0 if passes.moves_alone() else shared_length(model.config))


def require_causal(name: str, model: Any, found: Dependence) -> None:
    """Refuse a model whose logits depend on later tokens, or on chance, in one sentence."""
    if found.repeated:
        raise ModelError(
            f"{name} gives different logits each time it reads the same text, so no measurement can be repeated; "
            "expected a model without random parts"
        )
    if found.later:
        hint = '; if it was trained left to right, set "is_decoder": true in its config.json'
        decoder = getattr(text_config(model.config), "is_decoder", None) is False
        raise ModelError(
            f"{name} reads ahead: a change of later tokens moves the logits before them by {found.later:.0%} of what a "
            "change of the text does; expected a model that reads left to right" + (hint if decoder else "")
        )


class _Passes:
    """The passes on one model, and how far the logits of the text moved between two of them."""

    def __init__(self, model: Any) -> None:
        self._model = model
        length = min(TEXT + TAIL, longest_context(model) or TEXT + TAIL)
        self._text = length // 2
        self._draw = _drawing(model)
        self._device = input_device(model)
        quantised = any(is_opaque_linear(module) for module in model.modules())
        dtype = torch.bfloat16 if quantised else model.dtype
        self._same, self._other = SAME_SHAPE.get(dtype, 1e-2), OTHER_SHAPE.get(dtype, 0.1)
        self._ids = self._draw((2, length))
        self._logits = self._run(self._ids)
        self._scale = 0.0

    def same_shape(self) -> tuple[float, float, float]:
        """Return the movement by later tokens, by the neighbour, and by nothing; 0 where it is rounding."""
        logits = self._run(self._changed(later=True, neighbour=True))
        tail = self._logits[0, self._text :] - logits[0, self._text :]
        self._scale = float(tail.nan_to_num().square().mean().sqrt())
        if float(self._moved(logits).max()) <= self._same:
            return 0.0, 0.0, 0.0
        self._logits = self._run(self._ids)  # again: some models settle something in their first pass
        return (
            self._significant(later=True, neighbour=False),
            self._significant(later=False, neighbour=True),
            self._significant(later=False, neighbour=False),
        )

    def moves_alone(self) -> bool:
        """Tell whether the text has other logits when it is run alone."""
        return float(self._moved(self._run(self._ids[:1, : self._text])).max()) > self._other

    def _significant(self, *, later: bool, neighbour: bool) -> float:
        """Return the movement that two different changes of a kind both make; 0 where it is rounding."""
        runs = [self._moved(self._run(self._changed(later=later, neighbour=neighbour))) for _ in range(2)]
        moved = float(torch.minimum(*runs).max())
        return moved if moved > self._same else 0.0

    def _moved(self, logits: Tensor) -> Tensor:
        """Return how far the text's logits are from the first run's, by position [T], relative to the scale."""
        difference = logits[0, : self._text] - self._logits[0, : self._text]
        moved = difference.nan_to_num().square().mean(-1).sqrt()
        return moved / self._scale if self._scale else torch.zeros_like(moved)

    def _changed(self, *, later: bool, neighbour: bool) -> Tensor:
        ids = self._ids.clone()
        if later:
            ids[0, self._text :] = self._draw(ids[0, self._text :].shape)
        if neighbour:
            ids[1] = self._draw(ids[1].shape)
        return ids

    def _run(self, ids: Tensor) -> Tensor:
        """Return the logits, float32 [B, T, V]."""
        model = self._model
        accepted = inspect.signature(model.forward).parameters
        options = {"use_cache": False} if "use_cache" in accepted else {}
        try:
            output = model(input_ids=ids.to(self._device), **options)
            logits: Tensor = getattr(output, "logits", output)
            return logits.float().cpu()
        except FAILURES as error:
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            kind = str(model.dtype).removeprefix("torch.")
            raise ModelError(f"{type(model).__name__} does not run on token ids alone in {kind}: {reason}") from error


def _drawing(model: Any) -> Callable[[tuple[int, ...]], Tensor]:
    """Return a function that draws ordinary token ids, the same ones for every model of a vocabulary."""
    config, generator = text_config(model.config), torch.Generator().manual_seed(0)
    named = {**config.to_dict(), **model.config.to_dict()} if hasattr(config, "to_dict") else {}
    special = {value for key, value in named.items() if "token" in key and isinstance(value, int)}
    size = vocabulary_of(model)
    ordinary = torch.tensor([each for each in range(size) if each not in special] or [0])

    def draw(shape: tuple[int, ...]) -> Tensor:
        return ordinary[torch.randint(len(ordinary), tuple(shape), generator=generator)]

    return draw
