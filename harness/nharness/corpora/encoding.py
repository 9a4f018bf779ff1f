"""Documents as token ids: which tokens count, how long documents are cut, where a token budget ends.

Legend: `n` tokens of one encoded document.

1. A document is tokenised whole (prompt and text together), special tokens added as the tokenizer does it or not at
   all.
2. Tokens that the tokenizer added are not counted, unless the policy says so; nor is, with tokens of interest
   "response", any token that begins inside the prompt.
3. A document of more than `max_length` tokens becomes several windows. Each has the added special tokens around it
   and, before its counted tokens, `overlap` tokens of the window before, so that every token of the document is
   counted exactly once.
4. The budget takes whole documents in order and ends before the one that would exceed it; the first is always taken.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nharness.corpora.corpus import Document
from nharness.errors import CorpusError, OptionError

CHUNK = 256


@dataclass(frozen=True)
class EncodingPolicy:
    """What can change a number about the same text; `provenance` is how it is recorded.

    max_length: most tokens of one window, added ones included. special_tokens: "tokenizer" adds what the tokenizer
    adds by itself, "none" nothing. count_special: added tokens count as well. interest: "all" tokens, or the
    "response" alone. overlap: tokens of context that a window repeats from the one before, uncounted.
    """

    max_length: int = 512
    special_tokens: Literal["tokenizer", "none"] = "tokenizer"
    count_special: bool = False
    interest: Literal["all", "response"] = "all"
    overlap: int = 0

    def __post_init__(self) -> None:
        if self.max_length < 1 or not 0 <= self.overlap < self.max_length:
            raise OptionError(
                f"max_length must be at least 1 and overlap smaller; got {self.max_length}, {self.overlap}"
            )

    @property
    def provenance(self) -> dict[str, Any]:
        """The policy as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class EncodedDocument:
    """One document, or one window of a long one, as the model reads it.

    tokens: int64 [n]. counted_from, counted_to: the half-open range of tokens that count. bytes: UTF-8 bytes of the
    document's counted text, on its first window; 0 on the others, so that sums are right. unknown: counted tokens that
    are the tokenizer's unknown token.
    """

    id: str
    language: str
    cluster: str
    number: int
    tokens: NDArray[np.int64]
    counted_from: int
    counted_to: int
    bytes: int
    unknown: int = 0

    @property
    def counted(self) -> int:
        """Number of tokens that count."""
        return self.counted_to - self.counted_from


@dataclass(frozen=True)
class Amount:
    """How much text there is: documents, their clusters (`sources`), counted tokens, unknown ones, UTF-8 bytes."""

    documents: int
    sources: int
    tokens: int
    unknown: int
    bytes: int

    @property
    def unknown_share(self) -> float:
        """Share of the counted tokens that the tokenizer does not know, 0 to 1; 0 without a token."""
        return self.unknown / self.tokens if self.tokens else 0.0


def amount(windows: Iterable[EncodedDocument]) -> Amount:
    """Return how much text some encoded documents of one language hold."""
    found = tuple(windows)
    return Amount(
        documents=len({window.id for window in found}),
        sources=len({window.cluster for window in found}),
        tokens=sum(window.counted for window in found),
        unknown=sum(window.unknown for window in found),
        bytes=sum(window.bytes for window in found),
    )


def encode(
    tokenizer: Any,
    documents: Iterable[Document],
    *,
    language: str,
    policy: EncodingPolicy | None = None,
    max_tokens: int | None = None,
) -> Iterator[EncodedDocument]:
    """Yield the documents of one language encoded, in order, windows of one document next to each other.

    max_tokens: budget of counted tokens. What holds no counted token is left out. Raises `CorpusError` when
    nothing is left, `OptionError` when `max_length` leaves no room beside special tokens and overlap.
    """
    chosen = policy or EncodingPolicy()
    total = 0
    for chunk in _chunks(documents):
        for document, windows in zip(chunk, _encode_chunk(tokenizer, chunk, language, chosen), strict=True):
            counted = sum(window.counted for window in windows)
            if not counted:
                continue
            if total and max_tokens is not None and total + counted > max_tokens:
                return
            total += counted
            yield from windows
            del document
    if not total:
        raise CorpusError(f"no document of language {language!r} has a token that counts ({chosen.interest} tokens)")


def require_known(documents: Iterable[EncodedDocument], vocabulary: int) -> None:
    """Refuse documents with token ids that a model of `vocabulary` tokens does not know."""
    for document in documents:
        largest = int(document.tokens.max(initial=0))
        if largest >= vocabulary:
            raise CorpusError(
                f"document {document.id!r} ({document.language}) holds token {largest}, which the tokenizer knows "
                f"but the model ({vocabulary} tokens) does not; remove the document, or load the model's own "
                "tokenizer"
            )


def by_document(encoded: Iterable[EncodedDocument]) -> Iterator[tuple[EncodedDocument, ...]]:
    """Group the windows of each document."""
    group: list[EncodedDocument] = []
    for window in encoded:
        if group and window.number == 0:
            yield tuple(group)
            group = []
        group.append(window)
    if group:
        yield tuple(group)


def _chunks(documents: Iterable[Document]) -> Iterator[tuple[Document, ...]]:
    remaining = iter(documents)
    while chunk := tuple(itertools.islice(remaining, CHUNK)):
        yield chunk


def _encode_chunk(
    tokenizer: Any, documents: Sequence[Document], language: str, policy: EncodingPolicy
) -> Iterator[tuple[EncodedDocument, ...]]:
    fast = bool(getattr(tokenizer, "is_fast", False))
    unknown_id = getattr(tokenizer, "unk_token_id", None)
    offsets = fast and policy.interest == "response"
    result = tokenizer(
        [document.prompt + document.text for document in documents],
        add_special_tokens=policy.special_tokens == "tokenizer",
        return_special_tokens_mask=True,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
        **({"return_offsets_mapping": True} if offsets else {}),
    )
    for row, document in enumerate(documents):
        ids = np.asarray(result["input_ids"][row], dtype=np.int64)
        added = np.asarray(result["special_tokens_mask"][row], dtype=bool)
        body = np.flatnonzero(~added)
        start, stop = (int(body[0]), int(body[-1]) + 1) if body.size else (0, 0)
        skip = 0
        if policy.interest == "response" and document.prompt and stop > start:
            places = result["offset_mapping"][row] if offsets else None
            skip = _prompt_tokens(tokenizer, document.prompt, places, start, stop)
        text = document.text if policy.interest == "response" else document.prompt + document.text
        yield tuple(_windows(document, language, _Body(ids, start, stop, skip, text, unknown_id), policy))


@dataclass(frozen=True)
class _Body:
    """All ids of a document; its own are [start, stop), of which the first `skip` do not count."""

    ids: NDArray[np.int64]
    start: int
    stop: int
    skip: int
    text: str
    unknown_id: int | None


def _prompt_tokens(tokenizer: Any, prompt: str, places: Any, start: int, stop: int) -> int:
    """Count tokens that begin inside the prompt; without offsets, the tokens of the prompt alone."""
    if places is None:
        return min(len(tokenizer(prompt, add_special_tokens=False)["input_ids"]), stop - start)
    return sum(places[place][0] < len(prompt) for place in range(start, stop))


def _windows(document: Document, language: str, body: _Body, policy: EncodingPolicy) -> Iterator[EncodedDocument]:
    prefix, own, suffix = body.ids[: body.start], body.ids[body.start : body.stop], body.ids[body.stop :]
    room = policy.max_length - len(prefix) - len(suffix)
    if room - policy.overlap < 1:
        raise OptionError(
            f"max_length {policy.max_length} leaves no room beside {len(prefix) + len(suffix)} special tokens and "
            f"an overlap of {policy.overlap}"
        )
    size = len(document_bytes(body.text))
    begin, window = 0, 0
    while begin < len(own):
        context = min(policy.overlap, begin)
        end = min(len(own), begin - context + room)
        first = min(max(begin, body.skip), end) - begin + context + len(prefix)
        last = end - begin + context + len(prefix)
        wide = policy.count_special
        tokens = np.concatenate([prefix, own[begin - context : end], suffix])
        if first < last:
            yield EncodedDocument(
                document.id,
                language,
                document.cluster,
                window,
                tokens,
                0 if wide and begin == body.skip == 0 else first,
                len(tokens) if wide and end == len(own) else last,
                0 if window else size,
                0 if body.unknown_id is None else int((tokens[first:last] == body.unknown_id).sum()),
            )
            window += 1
        begin = end


def document_bytes(text: str) -> bytes:
    """Return the text as UTF-8; a lone surrogate, which no UTF-8 can hold, takes three bytes."""
    return text.encode("utf-8", "surrogatepass")
