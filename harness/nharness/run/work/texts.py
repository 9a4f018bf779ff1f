"""The evaluation text of a run: encoded once per language; whole for targets, a sample of it for controls."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from nharness.corpora import Corpus, Document, EncodedDocument, overlap
from nharness.record.sources import CorpusSplit, TextOverlap
from nharness.run.work.sampling import spread_sample


@dataclass(frozen=True)
class LanguageText:
    """One language's evaluation documents, encoded, in corpus order."""

    language: str
    documents: tuple[EncodedDocument, ...]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over ids, tokens and sizes."""
        sha = hashlib.sha256()
        for document in self.documents:
            sha.update(f"{document.id}\0{document.cluster}\0{document.bytes}\0".encode())
            sha.update(document.tokens.tobytes())
        return sha.hexdigest()

    @property
    def tokens(self) -> int:
        """Tokens of the text."""
        return sum(document.counted for document in self.documents)

    def sample(self, tokens: int) -> LanguageText:
        """Return documents of about `tokens` tokens, spread over sources and lengths; all when there are fewer."""
        counts = [document.counted for document in self.documents]
        strata = [document.cluster for document in self.documents]
        chosen = spread_sample(counts, strata, tokens)
        return LanguageText(self.language, tuple(self.documents[place] for place in chosen))


def describe_split(text: LanguageText, split: str) -> CorpusSplit:
    """Return how much text was used."""
    return CorpusSplit(
        language=text.language,
        split=split,
        documents=len(text.documents),
        tokens=text.tokens,
        bytes=sum(document.bytes for document in text.documents),
    )


def find_overlap(
    corpus: Corpus, languages: Sequence[str], used: Mapping[tuple[str, str], frozenset[str]]
) -> list[TextOverlap]:
    """Return, per language that has any, the evaluation documents whose content also stands in the detection text.

    used: ids of the documents that were used, by (language, split).
    """
    found = []
    for tag in languages:
        detect, evaluated = (_used(corpus, tag, split, used) for split in ("detect", "eval"))
        shared = overlap(detect, evaluated)
        if shared:
            found.append(
                TextOverlap(
                    language=tag, documents=len(shared), share=len(shared) / len(evaluated), examples=shared[:10]
                )
            )
    return found


def _used(corpus: Corpus, tag: str, split: str, used: Mapping[tuple[str, str], frozenset[str]]) -> list[Document]:
    wanted = used[tag, split]
    return [document for document in corpus.documents(tag, split) if document.id in wanted]
