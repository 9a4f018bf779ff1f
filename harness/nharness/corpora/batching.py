"""Right-padded batches of documents of nearly one length, in an order that depends on the lengths alone.

Legend: `B` rows of the batch, `T` its length in tokens.

With causal attention a position sees only what stands before it, so rows padded on the right need no attention mask:
padded positions are computed and never counted. Batches are cut from the documents sorted by length, where the sum
over batches of B * T + `overhead` is smallest (dynamic programming); `overhead` is what one more forward pass costs,
in tokens.

The model reads a multiple of `EVEN` tokens a batch wherever there is room: a library of matrix products that compiles
a kernel for every number of rows (oneDNN, for bfloat16 on a CPU) then makes a few instead of hundreds, each of which
costs milliseconds and half a megabyte.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nharness.corpora.encoding import EncodedDocument

CPU_TOKENS = 1024
"""Tokens of one forward pass on a CPU; twice as many are at most 7 % faster and take twice the memory."""
CPU_OVERHEAD, ACCELERATOR_OVERHEAD = 64, 256
"""Measured (docs/speed.md): 46 tokens' time for 30 layers in bfloat16, 117 for 4 small ones."""
EVEN = 16
NEVER = 1 << 62


@dataclass(frozen=True)
class Room:
    """How much one forward pass may hold.

    tokens: most tokens that are read, padding included, unless a single row is longer. overhead: what one more pass
    costs, in tokens. together: longest row that may share a pass with others (for models in which the rows of a batch
    change each other; None for all others, 0 for one row at a time). longest: most tokens that the model reads at once,
    None without limit. unread: tokens at the end of a row that the model is not given, since they are only predicted.
    """

    tokens: int
    overhead: int = CPU_OVERHEAD
    together: int | None = None
    longest: int | None = None
    unread: int = 0

    def widths(self, rows: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        """Return the length that rows, the longest of `length` tokens, are padded to, for each number of them."""
        read = length - self.unread
        if read <= 0:
            return np.full(len(rows), length, dtype=np.int64)
        even = even_lengths(rows, read)
        most = min(limit for limit in (self.longest, self.together, 1 << 40) if limit is not None)
        return np.where(even <= most, even + self.unread, length)

    def rows(self, length: int) -> int:
        """Return how many rows may share a pass, the longest of `length` tokens."""
        read = max(length - self.unread, 1)
        alone = self.together is not None and read > self.together
        return 1 if alone else max(1, self.tokens // read)


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


def even_lengths(rows: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Return the least length, from `length` on, that makes a multiple of `EVEN` tokens of so many rows."""
    step = EVEN // np.gcd(rows, EVEN)
    found: NDArray[np.int64] = -(-length // step) * step
    return found


def even_shape(rows: int, length: int, longest: int) -> tuple[int, int]:
    """Return the smallest (rows, length), from these on, of a multiple of `EVEN` tokens; no longer than `longest`."""
    lengths = range(length, max(length, min(longest, length + EVEN - 1)) + 1)
    shapes = [(r, n) for n in lengths for r in range(rows, rows + EVEN) if r * n % EVEN == 0]
    return min(shapes, key=lambda shape: (shape[0] * shape[1], shape[0]), default=(rows, length))


def overhead_on(device: str) -> int:
    """Return what one more forward pass costs on a kind of device ("cpu", "cuda"), in tokens."""
    return CPU_OVERHEAD if device == "cpu" else ACCELERATOR_OVERHEAD


def batches(encoded: Sequence[EncodedDocument], room: Room) -> Iterator[Batch]:
    """Yield batches that have room, longest rows first; a row that is longer than all of it is a batch of its own."""
    for rows in by_length([len(document.tokens) for document in encoded], room):
        longest = len(encoded[rows[-1]].tokens)
        yield _batch(encoded, rows, int(room.widths(np.array([len(rows)]), longest)[0]))


def by_length(lengths: Sequence[int], room: Room) -> Iterator[NDArray[np.int64]]:
    """Yield the places of the rows of every batch; the longest rows (in tokens) first, a batch's longest row last."""
    found = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(found, kind="stable")
    for start, stop in reversed(_cuts(found[order], room)):
        yield order[start:stop]


def mixed_batches(encoded: Sequence[EncodedDocument], room: Room) -> Iterator[Batch]:
    """Yield the same rows in other company: beside the longest that has room stand the shortest that are left.

    Sizes, padding and neighbours differ from those of `batches`, whatever the lengths; a model's numbers should not.
    """
    lengths = [len(document.tokens) for document in encoded]
    left = sorted(range(len(encoded)), key=lambda row: lengths[row])
    while left:
        longest = left.pop()
        others = room.rows(lengths[longest]) - 1
        rows, left = [longest, *left[:others]], left[others:]
        yield _batch(encoded, np.array(rows, dtype=np.int64), lengths[longest])


def padding_share(encoded: Sequence[EncodedDocument], room: Room) -> float:
    """Return the share of computed tokens that are padding, 0 <= share < 1."""
    computed = sum(batch.tokens.size for batch in batches(encoded, room))
    return 1 - sum(len(document.tokens) for document in encoded) / computed if computed else 0.0


def _cuts(lengths: NDArray[np.int64], room: Room) -> list[tuple[int, int]]:
    count = len(lengths)
    cost = np.zeros(count + 1, dtype=np.int64)  # cost[j]: least cost of batching the j shortest
    best = np.zeros(count + 1, dtype=np.int64)
    for stop in range(1, count + 1):
        longest = int(lengths[stop - 1])
        starts = np.arange(max(0, stop - room.rows(longest)), stop)
        rows = stop - starts
        sizes = rows * room.widths(rows, longest)
        fits = (rows == 1) | (sizes - rows * room.unread <= room.tokens)
        costs = np.where(fits, cost[starts] + sizes + room.overhead, NEVER)
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
