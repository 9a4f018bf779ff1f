"""The logit lens: what every layer's hidden state says when it is read as the last one is.

Legend: `L` layers, `N` positions, `D` width of the trunk, `V` vocabulary, `C` classes of tokens.

1. The trunk gives the hidden states after the embedding and after each layer. All but the last are put through the
   final norm, which is found by trying: the module whose output is what the trunk gives. The last is normed already.
2. The LM head is applied as for the NLL (`head`): in tiles of tokens x vocabulary where it is one linear layer, on a
   few tokens at a time where it is not; caps and scales as they are there.
3. Of each tile exp(logit - m) is added up by class, m the largest logit so far: what was added before is scaled when m
   grows. Divided by their sum, these are the probability masses. No [N, V] tensor is ever held.

nostalgebraist, "Interpreting GPT: the logit lens", 2020; masses by language as Wendler et al., ACL 2024 (arXiv
2402.10588), who follow the tokens of single words, where here all tokens of a language count (`token_language`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nharness.corpora import EncodedDocument
from nharness.errors import ModelError
from nharness.evaluation.head import Head
from nharness.evaluation.windows import WindowPolicy, windows
from nharness.models.trace import evaluating
from nharness.statistics.lens_masses import LensMasses

PROBE = 8


class Lens:
    """Reads one model layer by layer; `classes` int64 [V] says which class a token is of, the last for none of them.

    Raises `ModelError` for a model whose head or final norm cannot be told apart from the rest.
    """

    def __init__(self, head: Head, classes: NDArray[np.int64], count: int) -> None:
        if head.reading is None:
            raise ModelError(
                f"{type(head.model).__name__} does more to its hidden states than a trunk and a head that can be told "
                "apart; layers cannot be read through its head"
            )
        self._head, self._shape = head, head.reading.shape
        weight = head.output.weight
        self._type = torch.float64 if weight.dtype == torch.float64 else torch.float32
        padded = np.full(len(weight), count - 1, dtype=np.int64)  # rows of the head beyond the tokenizer's vocabulary
        padded[: len(classes)] = classes[: len(weight)]
        self._classes = padded
        self._onehot = nn.functional.one_hot(torch.from_numpy(padded), count).to(self._type).to(weight.device)
        with evaluating(head.model):
            self._norm, self._states = _final_norm(head)

    @property
    def shares(self) -> NDArray[np.float64]:
        """The share of each class among the entries of the vocabulary, [C]."""
        found: NDArray[np.float64] = self._onehot.mean(0).double().cpu().numpy()
        return found

    def read(self, documents: Sequence[EncodedDocument], policy: WindowPolicy, positions: int) -> LensMasses:
        """Return the masses of about so many positions, evenly spaced over all that are counted in the documents."""
        counted = sum(document.counted for document in documents)
        step, passed = max(1, -(-counted // positions)), 0
        mass, text, read = [], [], []
        for document in documents:
            classes = self._onehot.shape[1]
            here, said = np.zeros((self._states, classes)), np.zeros(classes)
            number = 0
            for window in windows(document, policy):
                targets = np.arange(window.counted_from, window.counted_to)
                kept = targets[(passed + np.arange(len(targets))) % step == step // 2]
                passed += len(targets)
                if len(kept):
                    here += self.masses(window.tokens[:-1], kept - 1).sum(axis=1)
                    said += np.bincount(self._classes[window.tokens[kept]], minlength=classes)
                    number += len(kept)
            mass.append(here)
            text.append(said)
            read.append(number)
        clusters = tuple(document.cluster for document in documents)
        return LensMasses(clusters, np.array(read), np.stack(mass), np.stack(text))

    @torch.inference_mode()
    def masses(self, tokens: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return what the states at some places of a row of tokens say comes next: masses [L + 1, N, C]."""
        ids = torch.from_numpy(tokens)[None].to(self._head.model.device)
        with evaluating(self._head.model):
            states, last = _states(self._head, ids)
            chosen = torch.from_numpy(places)
            rows = [self._norm(state[0][chosen.to(state.device)]) for state in states[:-1]]
            found = [self._read(row) for row in (*rows, last[0][chosen.to(last.device)])]
        made: NDArray[np.float64] = torch.stack(found).double().cpu().numpy()
        return made

    def _read(self, rows: Tensor) -> Tensor:
        """Return the masses [N, C] of normed states [N, D]."""
        rows = rows.to(self._onehot.device)
        best = torch.full((len(rows),), -torch.inf, dtype=self._type, device=rows.device)
        sums = torch.zeros(len(rows), self._onehot.shape[1], dtype=self._type, device=rows.device)
        for part, low, logits in self._tiles(rows):
            top = torch.maximum(best[part], logits.amax(1))
            grown = torch.exp(logits - top[:, None]) @ self._onehot[low : low + logits.shape[1]]
            sums[part] = sums[part] * torch.exp(best[part] - top)[:, None] + grown
            best[part] = top
        return sums / sums.sum(1, keepdim=True)

    def _tiles(self, rows: Tensor) -> Iterator[tuple[slice, int, Tensor]]:
        """Yield the logits of some rows and some of the vocabulary, with where both begin."""
        output, (step, width) = self._head.output, self._head.tile
        if not self._head.linear:
            step, width = max(1, self._head.values // len(self._onehot)), len(self._onehot)
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            for low in range(0, len(self._onehot), width):
                if self._head.linear:
                    bias = None if output.bias is None else output.bias[low : low + width]
                    logits = nn.functional.linear(rows[part], output.weight[low : low + width], bias)
                else:
                    logits = output(rows[part])
                logits = logits.to(self._type)
                yield part, low, logits if self._shape is None else self._shape(logits)


def _states(head: Head, ids: Tensor) -> tuple[Sequence[Tensor], Tensor]:
    """Return the hidden states [1, T, D] after the embedding and after each layer, and what the trunk gives.

    Raises `ModelError` for a trunk that does not tell them.
    """
    try:
        found: Any = head.trunk(input_ids=ids, use_cache=False, output_hidden_states=True)
    except TypeError:
        found = None
    states, last = (getattr(found, name, None) for name in ("hidden_states", "last_hidden_state"))
    if not states or not isinstance(last, Tensor):
        raise ModelError(f"{type(head.trunk).__name__} does not give its hidden states; its layers cannot be read")
    return states, last


def _final_norm(head: Head) -> tuple[Callable[[Tensor], Tensor], int]:
    """Return what the trunk puts its last layer's output through, and how many states there are, L + 1.

    Raises `ModelError` where the trunk does not end in a norm.
    """
    given: list[tuple[nn.Module, Tensor]] = []

    def keep(module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            given.append((module, output))

    leaves = [module for module in head.trunk.modules() if not any(True for _ in module.children())]
    handles = [module.register_forward_hook(keep) for module in leaves]
    try:
        with torch.inference_mode():
            ids = (torch.arange(PROBE)[None] * 7 + 5) % len(head.output.weight)
            states, last = _states(head, ids.to(head.model.device))
    finally:
        for handle in handles:
            handle.remove()
    norms = [
        m for m, output in given if output.numel() == last.numel() and torch.equal(output.reshape(last.shape), last)
    ]
    if not norms or "norm" not in type(norms[-1]).__name__.lower() or len(states) < 2:
        raise ModelError(f"no norm is the last module of {type(head.trunk).__name__}; layers cannot be read through it")
    return norms[-1], len(states)
