"""Right-padded batches of documents of nearly one length, in an order that depends on the lengths alone.

Legend: `B` rows of the batch, `T` its length in tokens.

With causal attention a position sees only what stands before it, so rows padded on the right need no attention mask:
padded positions are computed and never counted. Batches are cut from the documents sorted by length, where the sum
over batches of B * T + `overhead` is smallest (dynamic programming); `overhead` is what one more forward pass costs,
in tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nharness.corpora.encoding import EncodedDocument

CPU_TOKENS = 1024
"""Tokens of one forward pass on a CPU: more are no faster, and slower where tensors outgrow the caches."""
CPU_OVERHEAD, ACCELERATOR_OVERHEAD = 16, 256


@dataclass(frozen=True)
class Batch:
    """Rows of tokens, padded on the right with each row's own last token.

    tokens: int64 [B, T]. rows: int64 [B], each row's place in the sequence that was batched. lengths, counted_from,
    counted_to: int64 [B].
    """

    tokens: NDArray[np.int64]
    rows: NDArray[np.int64]
    lengths: NDArray[np.int64]
    counted_from: NDArray[np.int64]
    counted_to: NDArray[np.int64]

    @property
    def counted(self) -> int:
        """Number of tokens that count."""
        return int((self.counted_to - self.counted_from).sum())

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Which tokens count, bool [B, T]."""
        place = np.arange(self.tokens.shape[1])
        return (place >= self.counted_from[:, None]) & (place < self.counted_to[:, None])


def overhead_on(device: str) -> int:
    """Return what one more forward pass costs on a kind of device ("cpu", "cuda"), in tokens."""
    return CPU_OVERHEAD if device == "cpu" else ACCELERATOR_OVERHEAD


def batches(
    encoded: Sequence[EncodedDocument],
    *,
    max_tokens: int,
    overhead: int = CPU_OVERHEAD,
    together: int | None = None,
) -> Iterator[Batch]:
    """Yield batches of at most `max_tokens` tokens, padding included, longest rows first.

    A row longer than `max_tokens` is a batch of its own, and so is one longer than `together` tokens (for models in
    which the rows of a batch change each other; None for all others, 0 for one row at a time).
    """
    lengths = np.array([len(document.tokens) for document in encoded], dtype=np.int64)
    order = np.argsort(lengths, kind="stable")
    for start, stop in reversed(_cuts(lengths[order], max_tokens, overhead, together)):
        yield _batch(encoded, order[start:stop], int(lengths[order[stop - 1]]))


def mixed_batches(
    encoded: Sequence[EncodedDocument], *, max_tokens: int, together: int | None = None
) -> Iterator[Batch]:
    """Yield the same rows in other company: beside the longest that has room stand the shortest that are left.

    Sizes, padding and neighbours differ from those of `batches`, whatever the lengths; a model's numbers should not.
    At most `max_tokens` tokens a batch, and rows longer than `together` by themselves, as there.
    """
    lengths = [len(document.tokens) for document in encoded]
    left = sorted(range(len(encoded)), key=lambda row: lengths[row])
    while left:
        longest = left.pop()
        alone = together is not None and lengths[longest] > together
        room = 0 if alone else max(0, max_tokens // max(lengths[longest], 1) - 1)
        rows, left = [longest, *left[:room]], left[room:]
        yield _batch(encoded, np.array(rows, dtype=np.int64), lengths[longest])


def padding_share(encoded: Sequence[EncodedDocument], *, max_tokens: int, overhead: int = CPU_OVERHEAD) -> float:
    """Return the share of computed tokens that are padding, 0 <= share < 1."""
    computed = sum(batch.tokens.size for batch in batches(encoded, max_tokens=max_tokens, overhead=overhead))
    return 1 - sum(len(document.tokens) for document in encoded) / computed if computed else 0.0


def _cuts(lengths: NDArray[np.int64], max_tokens: int, overhead: int, together: int | None) -> list[tuple[int, int]]:
    count = len(lengths)
    cost = np.zeros(count + 1, dtype=np.int64)  # cost[j]: least cost of batching the j shortest
    best = np.zeros(count + 1, dtype=np.int64)
    for stop in range(1, count + 1):
        longest = int(lengths[stop - 1])
        alone = together is not None and longest > together
        starts = np.arange(max(0, stop - (1 if alone else max(1, max_tokens // max(longest, 1)))), stop)
        costs = cost[starts] + (stop - starts) * longest + overhead
        chosen = int(np.argmin(costs))
        cost[stop], best[stop] = costs[chosen], starts[chosen]
    cuts, stop = list[tuple[int, int]](), count
    while stop:
        cuts.append((int(best[stop]), stop))
        stop = int(best[stop])
    return cuts[::-1]


def _batch(encoded: Sequence[EncodedDocument], rows: NDArray[np.int64], length: int) -> Batch:
    chosen = [encoded[row] for row in rows]
    tokens = np.stack([np.pad(document.tokens, (0, length - len(document.tokens)), mode="edge") for document in chosen])
    return Batch(
        tokens=tokens,
        rows=rows,
        lengths=np.array([len(document.tokens) for document in chosen], dtype=np.int64),
        counted_from=np.array([document.counted_from for document in chosen], dtype=np.int64),
        counted_to=np.array([document.counted_to for document in chosen], dtype=np.int64),
    )
