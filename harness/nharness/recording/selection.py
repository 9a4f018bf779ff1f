"""Which rows of a batch count, and cutting what was observed into slices of counted rows.

Legend: `B` rows and `T` length of the batch; a flat token index is b*T + t.

Counted tokens of a row stand next to each other, so a dense layer's are views of what the model computed:
nothing is copied and no mask is multiplied. On an accelerator, where a kernel costs more than a copy, slices of
several documents are gathered instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nharness.corpora import Batch
from nharness.recording.accumulator import BLOCK

GATHERED = 4096
"""Most rows of one slice on an accelerator: bounds the memory of what is computed from it."""


class Selection:
    """The counted rows of one batch; `documents` int64 [B] is each row's document in the shard.

    in_slices: every dense slice is of one document, as on a CPU; else rows of several documents are gathered.
    """

    def __init__(self, batch: Batch, documents: NDArray[np.int64], device: torch.device) -> None:
        length = batch.tokens.shape[1]
        self.size = batch.tokens.size
        self.device = device
        self.in_slices = device.type == "cpu"
        self._spans = [
            (int(document), place * length + int(start), place * length + int(stop))
            for place, (document, start, stop) in enumerate(
                zip(documents, batch.counted_from, batch.counted_to, strict=True)
            )
            if stop > start
        ]
        self._blocks = [
            (document, low, min(low + BLOCK, stop))
            for document, start, stop in self._spans
            for low in range(start, stop, BLOCK)
        ]

    @cached_property
    def document_of(self) -> Tensor:
        """Document of every flat token index, int64 [B*T]; -1 where the token does not count."""
        found = np.full(self.size, -1, dtype=np.int64)
        for document, start, stop in self._spans:
            found[start:stop] = document
        return torch.from_numpy(found).to(self.device)

    @cached_property
    def counted(self) -> Tensor | None:
        """Flat indices of all counted tokens; None when all tokens of the batch count."""
        if sum(stop - start for _, start, stop in self._spans) == self.size:
            return None
        rows = [np.arange(start, stop, dtype=np.int64) for _, start, stop in self._spans]
        return torch.from_numpy(np.concatenate([np.empty(0, dtype=np.int64), *rows])).to(self.device)

    def cut(self, values: Tensor, rows: Tensor | None, *, by_document: bool) -> Iterator[tuple[int | None, Tensor]]:
        """Yield (document, rows of `values` that count); `rows` are flat token indices, None for every token in order.

        With `by_document`, and in slices in any case, a dense layer's slices are of one document each.
        """
        if rows is not None:
            yield from self._cut_routed(values, rows, by_document=by_document)
        elif self.in_slices:
            for document, start, stop in self._blocks:
                yield document, values[start:stop]
        elif by_document:
            for document, start, stop in self._spans:
                yield document, values[start:stop]
        else:
            gathered = values if self.counted is None else values.index_select(0, self.counted)
            yield from ((None, part) for part in torch.split(gathered, GATHERED))

    def _cut_routed(self, values: Tensor, rows: Tensor, *, by_document: bool) -> Iterator[tuple[int | None, Tensor]]:
        if self.counted is None and not by_document:
            yield from ((None, part) for part in self._blocked(values))
            return
        documents = self.document_of[rows.to(self.device)]
        kept = torch.nonzero(documents >= 0)[:, 0]
        if by_document:
            kept = kept[torch.argsort(documents[kept], stable=True)]
        if len(kept) < len(rows) or by_document:
            values, documents = values.index_select(0, kept.to(values.device)), documents[kept]
        if not by_document:
            yield from ((None, part) for part in self._blocked(values))
            return
        present, counts = torch.unique_consecutive(documents, return_counts=True)
        for document, part in zip(present.tolist(), torch.split(values, counts.tolist()), strict=True):
            yield from ((document, block) for block in self._blocked(part))

    def _blocked(self, values: Tensor) -> tuple[Tensor, ...]:
        return torch.split(values, BLOCK if self.in_slices else GATHERED) if len(values) else ()
