"""The corpus value: documents per language and split, with stable ids and a fingerprint over what they say."""

from __future__ import annotations

import hashlib
import itertools
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from nharness.errors import CorpusError, UnknownNameError

SPLITS = ("detect", "eval")


@dataclass(frozen=True)
class Document:
    """One text of one language.

    id: stable, shared by the translations of one text in a parallel corpus; `page#3` is the third document of a page.
    source: where it is from (an article, a book). prompt: text that the model sees before `text` and that counts only
    where tokens of interest are "all". A document with a prompt and no text waits for an answer.
    """

    id: str
    text: str
    source: str = ""
    prompt: str = ""

    @property
    def cluster(self) -> str:
        """What documents are clustered by in intervals: the page of an id, else the source, else the id."""
        page, mark, _ = self.id.rpartition("#")
        return page if mark else self.source or self.id


Reader = Callable[[], Iterable[Document]]


@dataclass(frozen=True)
class Corpus:
    """Documents per split and language; texts are read when asked for and never kept.

    readers: by split, then by language; every call of a reader starts over. identity: stands for the content in the
    fingerprint of a corpus that is streamed and therefore never read to its end; empty otherwise.
    """

    name: str
    readers: Mapping[str, Mapping[str, Reader]]
    identity: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, `detect` and `eval` among them."""
        return tuple(self.readers)

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """Canonical tags of all languages that stand in some split, in the corpus' own order."""
        return tuple(dict.fromkeys(tag for by_language in self.readers.values() for tag in by_language))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over split, language, id, prompt and text of every document; independent of how it is stored.

        The first use reads the whole corpus, unless it is streamed: then name, configuration and revision are hashed.
        """
        digest = hashlib.sha256(self.identity.encode())
        if not self.identity:
            for split in sorted(self.readers):
                for tag in sorted(self.readers[split]):
                    digest.update(f"{split}\0{tag}\0{fingerprint(self.readers[split][tag]())}\n".encode())
        return digest.hexdigest()

    def documents(self, language: str, split: str) -> Iterator[Document]:
        """Return the documents of one language and split, in the corpus' order.

        Raises `UnknownNameError` for a split or language that the corpus lacks, `CorpusError` when there is no
        document.
        """
        if split not in self.readers:
            raise UnknownNameError(f"split of corpus {self.name!r}", split, self.readers)
        if language not in self.readers[split]:
            raise UnknownNameError(
                f"language of corpus {self.name!r} in split {split!r}", language, self.readers[split]
            )
        documents = iter(self.readers[split][language]())
        first = next(documents, None)
        if first is None:
            raise CorpusError(f"corpus {self.name!r} has no document of language {language!r} in split {split!r}")
        return itertools.chain([first], documents)


def fingerprint(documents: Iterable[Document]) -> str:
    """Return the SHA-256 (hex) over ids, prompts and texts of documents, in order."""
    digest = hashlib.sha256()
    for document in documents:
        for part in (document.id, document.prompt, document.text):
            raw = part.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()


def content_hash(text: str) -> str:
    """Return the SHA-256 (hex) of the text after NFKC, case folding and closing up of white space."""
    return hashlib.sha256(" ".join(unicodedata.normalize("NFKC", text).casefold().split()).encode()).hexdigest()


def overlap(first: Iterable[Document], second: Iterable[Document]) -> tuple[str, ...]:
    """Return the ids of the documents of `second` whose text (prompt, where there is none) also stands in `first`."""
    seen = {content_hash(document.text or document.prompt) for document in first}
    return tuple(each.id for each in second if content_hash(each.text or each.prompt) in seen)
