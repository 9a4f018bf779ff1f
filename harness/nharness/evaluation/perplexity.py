"""Per-document NLL in nats, with tokens and UTF-8 bytes, of a model as it stands (edited or not).

1. Documents are tokenised without special tokens (`encode`), cut into windows (`windows`), batched by length.
2. Every window's counted tokens get their NLL (`head`); sums are float64 and go back to their documents.
3. The first NLL that is not finite stops the cell and names the document.

Legend: `B` rows of a batch, `T` its length in tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nharness.corpora import (
    CPU_TOKENS,
    Batch,
    Document,
    EncodedDocument,
    EncodingPolicy,
    Room,
    batches,
    encode,
    mixed_batches,
    overhead_on,
    require_known,
)
from nharness.errors import CellError
from nharness.evaluation.head import Head
from nharness.evaluation.items import Item
from nharness.evaluation.windows import UNLIMITED, WindowPolicy, default_policy, windows
from nharness.models.context import longest_context, vocabulary_of
from nharness.models.padding import only_text, within
from nharness.models.streams import Streams
from nharness.models.trace import evaluating

DEVICE_BATCH_TOKENS = 16384


class PerplexityEngine:
    """Scores documents on one model; made once for a model, used inside and outside its edits.

    policy: windows and prefix; None takes the model's context (at most 2048 tokens), no overlap, BOS or else EOS.
    batch_tokens: most tokens of one forward pass, padding included, unless a single window is longer. together: longest
    window that may share a forward pass with others, None for any (`LoadedModel.together`).
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        policy: WindowPolicy | None = None,
        batch_tokens: int | None = None,
        together: int | None = None,
        head: Head | None = None,
    ) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.policy = policy or default_policy(model, tokenizer)
        self.together = together
        on_cpu = model.device.type == "cpu"
        self.batch_tokens = batch_tokens or (CPU_TOKENS if on_cpu else DEVICE_BATCH_TOKENS)
        self.head = head or Head(model)
        self.streams = Streams(model)
        self._longest = longest_context(model)

    @property
    def provenance(self) -> dict[str, Any]:
        """What changes the numbers, as JSON values."""
        return {**self.policy.provenance, "batch_tokens": self.batch_tokens, "head": self.head.description}

    def encode(
        self, documents: Iterable[Document], *, language: str, max_tokens: int | None = None
    ) -> tuple[EncodedDocument, ...]:
        """Return documents as token ids, each in one part; do it once for all cells. Raises as `corpora.encode`."""
        whole = EncodingPolicy(max_length=UNLIMITED, special_tokens="none")
        made = tuple(encode(self.tokenizer, documents, language=language, policy=whole, max_tokens=max_tokens))
        require_known(made, vocabulary_of(self.model))
        return made

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has, special ones left out."""
        found = self.tokenizer(
            list(texts),
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        return [len(ids) for ids in found["input_ids"]]

    def score(self, documents: Sequence[EncodedDocument], *, batch_tokens: int | None = None) -> tuple[Item, ...]:
        """Return one item per document, in order, with values nll (nats), tokens (scored) and bytes (UTF-8).

        Raises `CellError` naming the first document whose NLL is not finite.
        """
        return self._scored(documents, lambda pieces: batches(pieces, self.room(batch_tokens, unread=1)))

    def score_in_other_batches(
        self, documents: Sequence[EncodedDocument], *, batch_tokens: int | None = None
    ) -> tuple[Item, ...]:
        """Return the same items from batches of other size and company (`mixed_batches`): the noise of batching."""
        return self._scored(documents, lambda pieces: mixed_batches(pieces, self.room(batch_tokens, unread=1)))

    def _scored(
        self, documents: Sequence[EncodedDocument], cut: Callable[[Sequence[EncodedDocument]], Iterator[Batch]]
    ) -> tuple[Item, ...]:
        nll = np.zeros(len(documents), dtype=np.float64)
        tokens = np.zeros(len(documents), dtype=np.int64)
        pieces = [(row, window) for row, document in enumerate(documents) for window in windows(document, self.policy)]
        rows = np.array([row for row, _ in pieces], dtype=np.int64)
        with evaluating(self.model):
            for batch in cut([window for _, window in pieces]):
                sums = self._sums(batch)
                _stop_unless_finite(sums, [documents[row] for row in rows[batch.rows]])
                np.add.at(nll, rows[batch.rows], sums)
                np.add.at(tokens, rows[batch.rows], batch.counted_to - batch.counted_from)
        return tuple(
            Item(document.id, document.cluster, {"nll": float(n), "tokens": int(t), "bytes": document.bytes})
            for document, n, t in zip(documents, nll, tokens, strict=True)
        )

    def room(self, batch_tokens: int | None = None, *, unread: int = 0) -> Room:
        """Return how much a forward pass of the model holds: `batch_tokens` if given; unread as in `Room`."""
        return Room(
            batch_tokens or self.batch_tokens,
            overhead_on(self.model.device.type),
            together=self.together,
            longest=self._longest,
            unread=unread,
        )

    def _sums(self, batch: Batch) -> NDArray[np.float64]:
        """Return each row's NLL, float64 [B]."""
        ids = torch.from_numpy(batch.tokens).to(self.model.device)
        counted = torch.from_numpy(batch.mask[:, 1:]).to(self.model.device)  # target t is token t + 1
        text = within(torch.from_numpy(batch.lengths) - 1, ids.shape[1] - 1)
        with torch.inference_mode(), only_text(text):
            values = self.streams.run(ids[:, :-1], lambda read: self.head.nll(read, ids[:, 1:], counted))
        owners = np.repeat(np.arange(len(batch.rows)), batch.counted_to - batch.counted_from)
        sums = np.bincount(owners, weights=values.double().cpu().numpy(), minlength=len(batch.rows))
        return sums.astype(np.float64, copy=False)


def _stop_unless_finite(sums: NDArray[np.float64], documents: Sequence[EncodedDocument]) -> None:
    for value, document in zip(sums, documents, strict=True):
        if not math.isfinite(value):
            raise CellError(
                f"the NLL of document {document.id!r} ({document.language}) is {value}, expected a finite number; the "
                "model's logits overflow: try dtype=float32 or a weaker intervention"
            )
