"""The words and texts of planted models.

Legend: `G` languages, `W` words of a language, `V` vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from nharness.corpora import Corpus, Document

BOUNDARY = "<s>"
SHARED = 8
LENGTH = 40
PREDICTABLE = 0.7


@dataclass(frozen=True)
class Vocabulary:
    """Token 0 is the boundary, then `words` words of every language (`en00`, `en01`, ...), then shared ones."""

    languages: tuple[str, ...]
    words: int

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every token's text, by id."""
        own = [f"{tag}{place:02d}" for tag in self.languages for place in range(self.words)]
        return (BOUNDARY, *own, *(f"shared{place:02d}" for place in range(SHARED)))

    @property
    def size(self) -> int:
        """Number of tokens of the vocabulary, V."""
        return 1 + len(self.languages) * self.words + SHARED

    def of(self, row: int) -> NDArray[np.int64]:
        """Return the token ids [W] of one language's words."""
        return 1 + row * self.words + np.arange(self.words, dtype=np.int64)

    @property
    def shared(self) -> NDArray[np.int64]:
        """The token ids of the words of all languages."""
        return np.arange(self.size - SHARED, self.size, dtype=np.int64)

    @cached_property
    def successor(self) -> NDArray[np.int64]:
        """The likely next token of every token, int64 [V]: of word i, word i + 5 modulo W; others have none (0)."""
        found = np.zeros(self.size, dtype=np.int64)
        for row in range(len(self.languages)):
            found[self.of(row)] = np.roll(self.of(row), -5)
        return found


def planted_corpus(vocabulary: Vocabulary, documents: int, seed: int) -> Corpus:
    """Return parallel text, `documents` documents of `LENGTH` tokens per language and split."""
    readers = {
        split: {
            tag: partial(_documents, vocabulary, row, range(place * documents, (place + 1) * documents), seed)
            for row, tag in enumerate(vocabulary.languages)
        }
        for place, split in enumerate(("detect", "eval"))
    }
    return Corpus("planted", readers)


def _documents(vocabulary: Vocabulary, row: int, numbers: Iterable[int], seed: int) -> Iterable[Document]:
    for number in numbers:
        tokens = _chain(vocabulary, row, np.random.default_rng([seed, number]))
        yield Document(f"chain{number}", " ".join(vocabulary.names[token] for token in tokens), f"chain{number}")


def _chain(vocabulary: Vocabulary, row: int, random: np.random.Generator) -> list[int]:
    """Return the tokens of one document: the same draws, in this language's words."""
    own, shared = vocabulary.of(row), vocabulary.shared
    tokens: list[int] = []
    for _ in range(LENGTH):
        predictable, word, other = random.random(), int(random.integers(len(own))), int(random.integers(SHARED))
        last = tokens[-1] if tokens else None
        if last is None or last >= shared[0]:
            tokens.append(int(own[word]))
        else:
            tokens.append(int(vocabulary.successor[last]) if predictable < PREDICTABLE else int(shared[other]))
    return tokens
