"""Exhaustive ablation: what switching off each neuron alone costs every language, in nats per token.

Legend: `G` languages, `M` neurons of the model, `B` rows of a batch, `T` its length.

1. Of each language, documents at equal steps through its text give the window they begin with; the intact model's
   loss of every token is kept.
2. Layer by layer, every neuron's hidden activation is set to 0, alone, and the losses taken again; the layers before
   are not run again (`nharness.ablation.shortcuts`). delta = mean loss with the neuron off - with it on.
3. Weights coarser than float32 are widened first: a single neuron moves the loss by less than half precision resolves.

What is measured is kept per language and layer, so that a killed measurement goes on.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from nharness.ablation.shortcuts import Edited, Replayed, Rows, Subtracted, choose, stage_of
from nharness.corpora import Batch, Document, EncodedDocument, batches
from nharness.evaluation.head import Head
from nharness.evaluation.perplexity import PerplexityEngine
from nharness.evaluation.windows import default_policy, windows
from nharness.models import NeuronMap
from nharness.models.context import longest_context
from nharness.models.trace import evaluating

Losses = Mapping[str, NDArray[np.float64]]
WINDOW = 32  # tokens of each document: many short windows see more of a language, and more neurons are silent in them
DOCUMENTS = 1_000  # most documents per language that windows are chosen from
RUN_TOKENS = 1024  # tokens of one forward pass on a CPU
DEVICE_RUN_TOKENS = 1 << 16


class Keeper(Protocol):
    """Where finished parts are kept: by language, text and layer."""

    def get(self, language: str, digest: str, layer: int) -> NDArray[np.float64] | None: ...  # noqa: D102

    def put(self, language: str, digest: str, layer: int, delta: NDArray[np.float64]) -> None: ...  # noqa: D102


class NoKeeper:
    """Keeps nothing."""

    def get(self, _language: str, _digest: str, _layer: int) -> NDArray[np.float64] | None:
        """Return None."""
        return None

    def put(self, _language: str, _digest: str, _layer: int, _delta: NDArray[np.float64]) -> None:
        """Forget it."""


@dataclass(frozen=True)
class Ablation:
    """The measurement: delta/<language> float64 [M], and per language the tokens it is a mean over."""

    losses: Losses
    tokens: Mapping[str, int]
    documents: Mapping[str, frozenset[str]]
    forward_tokens: int


Advanced = Callable[[int, int], None]
"""Called with neurons done and forward tokens run."""


class Ablator:
    """Ablates the neurons of one model, one at a time.

    together: longest window that may share a forward pass, None for any. keeper: where finished (language, layer)
    parts are. advanced: told of progress; may raise to stop.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        neuron_map: NeuronMap,
        *,
        together: int | None = None,
        keeper: Keeper | None = None,
        advanced: Advanced = lambda _neurons, _tokens: None,
    ) -> None:
        widened = model if next(model.parameters()).dtype in {torch.float32, torch.float64} else _widened(model)
        self._model, self._map = widened, neuron_map
        self._head = Head(widened)
        self._tokenizer = tokenizer
        window = min(WINDOW, longest_context(widened) or WINDOW)
        self._policy = default_policy(widened, tokenizer, window=window)
        self._keeper: Keeper = NoKeeper() if keeper is None else keeper
        self._advanced = advanced
        self._run_tokens = RUN_TOKENS if widened.device.type == "cpu" else DEVICE_RUN_TOKENS
        self._together = together
        self._ways: dict[int, type[Subtracted | Replayed | Edited]] = {}
        self._spent = 0

    def measure(self, documents: Mapping[str, Sequence[Document]], tokens: int) -> Ablation:
        """Return the cost of every neuron for every language, each on enough windows to hold `tokens` tokens.

        A language with less text is measured on a window of every document. Raises `CorpusError` for one without text.
        """
        engine = PerplexityEngine(self._model, self._tokenizer, policy=self._policy, head=self._head)
        losses, counted, used = {}, {}, {}
        with evaluating(self._model):
            for tag, found in documents.items():
                encoded = engine.encode(found[:DOCUMENTS], language=tag)
                count = -(-tokens // self._policy.window)
                chosen = [encoded[place] for place in _spread(len(encoded), count)]
                pieces = [next(windows(document, self._policy)) for document in chosen]
                counted[tag] = sum(piece.counted_to - piece.counted_from for piece in pieces)
                used[tag] = frozenset(document.id for document in chosen)
                losses[f"delta/{tag}"] = self._language(tag, pieces) / counted[tag]
        return Ablation(losses, counted, used, self._spent)

    def _language(self, tag: str, pieces: Sequence[EncodedDocument]) -> NDArray[np.float64]:
        """Return the summed change of NLL in nats [M]."""
        digest = text_digest(pieces)
        parts = []
        for layer in self._map.layers:
            found = self._keeper.get(tag, digest, layer.index)
            if found is None:
                found = self._layer(layer.index, pieces)
                self._keeper.put(tag, digest, layer.index, found)
            else:
                self._advanced(layer.width, 0)
            parts.append(found)
        return np.concatenate(parts)

    @torch.inference_mode()
    def _layer(self, index: int, pieces: Sequence[EncodedDocument]) -> NDArray[np.float64]:
        layer = self._map.layers[index]
        stage = stage_of(self._model, self._map, self._head, layer)
        total = torch.zeros(layer.width, dtype=torch.float64)
        cut = batches(pieces, max_tokens=self._run_tokens, together=self._together)
        made = [_rows(batch, self._model.device) for batch in cut]
        if index not in self._ways:
            self._ways[index] = choose(stage, made[0])
        for rows in made:
            way = self._ways[index](stage, rows, stage.losses(rows))
            length = rows.inputs.shape[1]
            alone = self._together is not None and length > self._together
            at_once = 1 if alone else max(1, self._run_tokens // length)
            for place, change, tokens in way.changes(torch.arange(layer.width), at_once):
                total[place : place + len(change)] += change.cpu()
                self._spent += tokens
                self._advanced(0, tokens)
        self._advanced(layer.width, 0)
        return total.numpy()


def _spread(size: int, count: int) -> list[int]:
    """Return up to `count` places in 0..size at equal steps."""
    return sorted({int((step + 0.5) * size / count) for step in range(count)}) if count < size else list(range(size))


def text_digest(pieces: Sequence[EncodedDocument]) -> str:
    """Return the SHA-256 over the windows' tokens and what counts of them."""
    sha = hashlib.sha256()
    for piece in pieces:
        sha.update(f"{piece.counted_from}/{piece.counted_to}/".encode())
        sha.update(piece.tokens.astype("<i8").tobytes())
    return sha.hexdigest()


def _rows(batch: Batch, device: torch.device) -> Rows:
    tokens = torch.from_numpy(batch.tokens).to(device)
    return Rows(tokens[:, :-1], tokens[:, 1:], torch.from_numpy(batch.mask[:, 1:]).to(device))


def _widened(model: Any) -> Any:
    return copy.deepcopy(model).float()
