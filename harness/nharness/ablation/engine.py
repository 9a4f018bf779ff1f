"""Exhaustive ablation: what switching off each neuron alone costs every language, in nats per token.

Legend: `G` languages, `M` neurons of the model, `B` rows of a batch, `T` its length.

1. Of each language, documents at equal steps through its text give the window they begin with; the intact model's
   loss of every token is kept.
2. Layer by layer, every neuron's hidden activation is set to 0, alone, and the losses taken again; the layers before
   are not run again (`nharness.ablation.shortcuts`). delta = mean loss with the neuron off - with it on.
3. Weights coarser than float32 are widened first: a single neuron moves the loss by less than half precision resolves.

A language's layer is the smallest part: `nharness.run.stages.ablate` keeps each, so that a killed measurement goes on.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nharness.ablation.shortcuts import Edited, Replayed, Rows, Subtracted, choose, stage_of
from nharness.corpora import Batch, Document, EncodedDocument, EncodingPolicy, Room, batches, encode
from nharness.evaluation.head import Head
from nharness.evaluation.windows import UNLIMITED, default_policy, windows
from nharness.models import NeuronMap
from nharness.models.context import longest_context
from nharness.models.trace import evaluating

LossChanges = Mapping[str, NDArray[np.float64]]
WINDOW = 32  # tokens of each document: many short windows see more of a language, and more neurons are silent in them
DOCUMENTS = 1_000  # most documents per language that windows are chosen from
RUN_TOKENS = 1024  # tokens of one forward pass on a CPU
DEVICE_RUN_TOKENS = 1 << 16


@dataclass(frozen=True)
class Chosen:
    """What is read of each language: windows, the tokens that count in them, and the ids of their documents."""

    windows: Mapping[str, tuple[EncodedDocument, ...]]
    tokens: Mapping[str, int]
    documents: Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Ablation:
    """The measurement: delta/<language> float64 [M], and per language the tokens it is a mean over."""

    loss_changes: LossChanges
    tokens: Mapping[str, int]
    documents: Mapping[str, frozenset[str]]
    forward_tokens: int


def choose_windows(model: Any, tokenizer: Any, documents: Mapping[str, Sequence[Document]], tokens: int) -> Chosen:
    """Return enough windows of each language to hold `tokens` tokens, of documents at equal steps through its text.

    A language with less text has a window of every document. Raises `CorpusError` for one without text.
    """
    policy = default_policy(model, tokenizer, window=min(WINDOW, longest_context(model) or WINDOW))
    whole = EncodingPolicy(max_length=UNLIMITED, special_tokens="none")
    chosen, counted, used = {}, {}, {}
    for tag, found in documents.items():
        encoded = list(encode(tokenizer, found[:DOCUMENTS], language=tag, policy=whole))
        places = _spread(len(encoded), -(-tokens // policy.window))
        chosen[tag] = tuple(next(windows(encoded[place], policy)) for place in places)
        counted[tag] = sum(window.counted_to - window.counted_from for window in chosen[tag])
        used[tag] = frozenset(encoded[place].id for place in places)
    return Chosen(chosen, counted, used)


class Ablator:
    """Ablates the neurons of one model, one at a time.

    together: longest window that may share a forward pass, None for any.
    """

    def __init__(self, model: Any, neuron_map: NeuronMap, *, together: int | None = None) -> None:
        widened = model if next(model.parameters()).dtype in {torch.float32, torch.float64} else _widened(model)
        self._model, self._map = widened, neuron_map
        self._head = Head(widened)
        self._run_tokens = RUN_TOKENS if widened.device.type == "cpu" else DEVICE_RUN_TOKENS
        self._room = Room(self._run_tokens, together=together, longest=longest_context(widened), unread=1)
        self._ways: dict[int, type[Subtracted | Replayed | Edited]] = {}

    def measure(self, tokenizer: Any, documents: Mapping[str, Sequence[Document]], tokens: int) -> Ablation:
        """Return the cost of every neuron for every language; windows and errors as in `choose_windows`."""
        chosen = choose_windows(self._model, tokenizer, documents, tokens)
        made = {
            tag: [self.layer(layer.index, windows) for layer in self._map.layers]
            for tag, windows in chosen.windows.items()
        }
        return ablation_of(
            chosen,
            {tag: [found for found, _ in parts] for tag, parts in made.items()},
            sum(spent for parts in made.values() for _, spent in parts),
        )

    @torch.inference_mode()
    def layer(
        self, index: int, windows: Sequence[EncodedDocument], seen: Callable[[int], None] = lambda _tokens: None
    ) -> tuple[NDArray[np.float64], int]:
        """Return one layer's summed changes of NLL on windows, in nats [N], and the forward tokens they cost.

        seen: hears of forward tokens as they are run; may raise to stop.
        """
        layer, spent = self._map.layers[index], 0
        with evaluating(self._model):
            stage = stage_of(self._model, self._map, self._head, layer)
            total = torch.zeros(layer.width, dtype=torch.float64)
            cut = batches(windows, self._room)
            made = [_rows(batch, self._model.device) for batch in cut]
            if index not in self._ways:
                self._ways[index] = choose(stage, made[0])
            for rows in made:
                way = self._ways[index](stage, rows, stage.losses(rows))
                length = rows.inputs.shape[1]
                for place, change, tokens in way.changes(torch.arange(layer.width), self._room.rows(length)):
                    total[place : place + len(change)] += change.cpu()
                    spent += tokens
                    seen(tokens)
        return total.numpy(), spent


def ablation_of(chosen: Chosen, sums: Mapping[str, Sequence[NDArray[np.float64]]], forward_tokens: int) -> Ablation:
    """Return the measurement from every language's layers, in order, each the summed changes of its neurons."""
    changes = {f"delta/{tag}": np.concatenate(parts) / chosen.tokens[tag] for tag, parts in sums.items()}
    return Ablation(changes, chosen.tokens, chosen.documents, forward_tokens)


def _spread(size: int, count: int) -> list[int]:
    """Return up to `count` places in 0..size at equal steps."""
    return sorted({int((step + 0.5) * size / count) for step in range(count)}) if count < size else list(range(size))


def text_digest(windows: Sequence[EncodedDocument]) -> str:
    """Return the SHA-256 over the windows' tokens and what counts of them."""
    sha = hashlib.sha256()
    for window in windows:
        sha.update(f"{window.counted_from}/{window.counted_to}/".encode())
        sha.update(window.tokens.astype("<i8").tobytes())
    return sha.hexdigest()


def _rows(batch: Batch, device: torch.device) -> Rows:
    tokens = torch.from_numpy(batch.tokens).to(device)
    return Rows(tokens[:, :-1], tokens[:, 1:], torch.from_numpy(batch.mask[:, 1:]).to(device))


def _widened(model: Any) -> Any:
    return copy.deepcopy(model).float()
