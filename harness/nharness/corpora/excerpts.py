"""A budget of tokens spread over as many sources as it reaches: excerpts of documents, cut at sentence ends.

1. Sources (clusters of documents) are put in the order of a hash of their names, which is the same in every language
   of a parallel corpus; as many are kept as the budget gives `WORTH` tokens each, and no fewer than `FEWEST`.
2. Every source begins where its first document does. It gets sentence after sentence while its even share of the
   budget lasts, at least `SHORTEST` tokens of them; one that does not fit into what is left gets nothing.
3. What is left then goes to the sources in turn, a sentence at a time, until none fits.

So the places are the same in every language, and a language that needs more tokens for the same text ends earlier in
them. A document that is reached in whole stays as it is; one that is not reached is left out.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from nharness.corpora.corpus import Document

FEWEST, WORTH, SHORTEST = 40, 40, 16
LONG = 300
"""Characters of a sentence beyond which it is cut at white space as well; Thai, for one, marks no sentence ends."""
CHARACTERS = 16
"""Most characters of a token that are reckoned with when a source is kept in memory."""
_END = re.compile(r"\s*\n\s*|[。！？｡]+[」』”’）]*(?!\n)|[.!?…؟۔।॥።]+[\"'»”’)\]]*(?=[^\S\n])")

Count = Callable[[Sequence[str]], Sequence[int]]
"""Tokens of each of some texts."""


def spread(
    documents: Iterable[Document], count: Count, max_tokens: int, *, looked_at: int | None = None
) -> list[Document]:
    """Return documents, cut where they are not reached in whole, of about `max_tokens` tokens at most, in their order.

    looked_at: read no more documents than this; None reads all. The first source gets its first sentence always.
    """
    kept = _sources(itertools.islice(documents, looked_at), max(FEWEST, max_tokens // WORTH), max_tokens)
    for source in kept:
        source.split(count, CHARACTERS * max_tokens)
    left = _even_shares(kept, max_tokens)
    _in_turn(kept, left)
    found = [excerpt for source in kept for excerpt in source.excerpts()]
    return [document for _, document in sorted(found, key=lambda item: item[0])]


def sentence_ends(text: str) -> list[int]:
    """Return where the sentences of a text end, ascending, the last of them at the end of the text.

    A line's end is a sentence's end; one of more than `LONG` characters also ends at white space.
    """
    ends = [match.end() for match in _END.finditer(text) if _is_end(text, match)]
    if not ends or ends[-1] < len(text):
        ends.append(len(text))
    cut, start = list[int](), 0
    for end in ends:
        while end - start > LONG and (space := text.rfind(" ", start + 1, start + LONG)) > start:
            cut.append(space)
            start = space
        cut.append(end)
        start = end
    return cut


def counterpart(excerpt: str, whole: str, other: str) -> str:
    """Return the part of `other` that stands where `excerpt`, its beginning, stands in the parallel text `whole`.

    As many sentences where both have equally many, else up to the sentence's end nearest to the excerpt's share.
    """
    if len(excerpt) >= len(whole.rstrip()):
        return other
    ends, others = sentence_ends(whole), sentence_ends(other)
    if len(ends) == len(others):
        place = next(n for n, end in enumerate(ends) if len(whole[:end].rstrip()) >= len(excerpt))
        return other[: others[place]].rstrip()
    share = len(excerpt) / len(whole) * len(other)
    return other[: min(others, key=lambda end: abs(end - share))].rstrip()


@dataclass
class _Source:
    """The documents of one cluster with their places in the corpus; how many sentences of them are taken."""

    documents: list[tuple[int, Document]] = field(default_factory=list)
    characters: int = 0
    taken: int = 0
    tokens: int = 0
    _sentences: list[tuple[int, int, int]] = field(default_factory=list)  # document, end, tokens

    def add(self, place: int, document: Document) -> None:
        """Keep a document with its place in the corpus."""
        self.documents.append((place, document))
        self.characters += len(document.text)

    def split(self, count: Count, most: int) -> None:
        """Cut the documents into sentences, of `most` characters in all, and count the tokens of each."""
        sentences, texts, seen = list[tuple[int, int]](), list[str](), 0
        for number, (_, document) in enumerate(self.documents):
            start = 0
            for end in sentence_ends(document.text):
                if seen > most:
                    break
                sentences.append((number, end))
                texts.append((document.prompt if start == 0 else "") + document.text[start:end])
                seen, start = seen + end - start, end
        tokens = count(texts) if texts else ()
        self._sentences = [(*sentence, size) for sentence, size in zip(sentences, tokens, strict=True)]

    @property
    def least(self) -> int:
        """Tokens of the shortest beginning that is worth having: `SHORTEST` of them, or all."""
        total = 0
        for _, _, size in self._sentences:
            total += size
            if total >= SHORTEST:
                break
        return total

    @property
    def next(self) -> int | None:
        """Tokens of the sentence that comes next, None when there is none."""
        return self._sentences[self.taken][2] if self.taken < len(self._sentences) else None

    def take(self) -> int:
        """Take the next sentence and return its tokens."""
        size = self._sentences[self.taken][2]
        self.taken, self.tokens = self.taken + 1, self.tokens + size
        return size

    def excerpts(self) -> Iterator[tuple[int, Document]]:
        """Yield what is taken, a document at a time, each with its place in the corpus."""
        for number, taken in itertools.groupby(self._sentences[: self.taken], key=lambda sentence: sentence[0]):
            place, document = self.documents[number]
            end = max(end for _, end, _ in taken)
            yield place, document if end == len(document.text) else replace(document, text=document.text[:end].rstrip())


def _sources(documents: Iterable[Document], most: int, max_tokens: int) -> list[_Source]:
    """Return the `most` sources that come first, in order; what they cannot use of their documents is not kept."""
    found: dict[str, _Source] = {}
    last: list[tuple[int, str]] = []  # a heap, the source that comes last on top
    for place, document in enumerate(documents):
        cluster = document.cluster
        if cluster not in found:
            heapq.heappush(last, (-_rank(cluster), cluster))
            found[cluster] = _Source()
            if len(found) > most:
                del found[heapq.heappop(last)[1]]
        source = found.get(cluster)
        if source is not None and source.characters <= CHARACTERS * max_tokens:
            source.add(place, document)
    return [found[name] for name in sorted(found, key=_rank)]


def _rank(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8], "big")


def _even_shares(sources: Sequence[_Source], max_tokens: int) -> int:
    """Give every source its even share of the budget; return what is left of it."""
    left, share = max_tokens, max_tokens // max(1, len(sources))
    for number, source in enumerate(sources):
        begins = source.least <= left
        if number == 0 and not begins and source.next is not None:
            left -= source.take()
        while begins and (size := source.next) is not None and size <= left:
            if source.tokens >= SHORTEST and source.tokens + size > share:
                break
            left -= source.take()
    return left


def _in_turn(sources: Sequence[_Source], left: int) -> None:
    """Give what is left to the sources that have begun, a sentence at a time."""
    open_ = [source for source in sources if source.taken]
    while open_:
        able = [source for source in open_ if source.next is not None]
        open_ = []
        for source in able:
            if (size := source.next) is not None and size <= left:
                left -= source.take()
                open_.append(source)


def _is_end(text: str, match: re.Match[str]) -> bool:
    """Tell a sentence's end from an abbreviation's: after a full stop, no small letter and no single letter before."""
    if match[0][0] != ".":
        return True
    word = re.search(r"\w*$", text[max(0, match.start() - LONG) : match.start()])
    following = text[match.end() :].lstrip()[:1]
    return not following.islower() and (word is None or len(word[0]) > 1 or len(match[0]) > 1)
