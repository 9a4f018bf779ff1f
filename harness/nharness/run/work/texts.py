"""The evaluation text of a run, encoded once per language.

Targets are measured on excerpts from as many sources as there are, controls on a sample of them; what a model writes
goes on from the beginnings of whole documents, one of each source.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from nharness.corpora import Corpus, Document, EncodedDocument, amount, overlap, spread
from nharness.evaluation.perplexity import PerplexityEngine
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


STREAMED = 5_000
"""Documents of a streamed corpus that are looked at for sources."""
OPENED = 40
"""Most documents that a model goes on from."""


def excerpts(corpus: Corpus, engine: PerplexityEngine, language: str, *, max_tokens: int) -> LanguageText:
    """Return a language's evaluation text: `max_tokens` tokens, spread over sources (`corpora.excerpts`)."""
    documents = corpus.documents(language, "eval")
    found = spread(documents, engine.count, max_tokens, looked_at=STREAMED if corpus.identity else None)
    return LanguageText(language, engine.encode(found, language=language, max_tokens=max_tokens))


def beginnings(corpus: Corpus, engine: PerplexityEngine, text: LanguageText) -> LanguageText:
    """Return the whole documents that the excerpts of `text` are from, the first of each of `OPENED` sources."""
    first: dict[str, str] = {}
    for excerpt in text.documents:
        first.setdefault(excerpt.cluster, excerpt.id)
    wanted = set(list(first.values())[:OPENED])
    documents = []
    for document in corpus.documents(text.language, "eval"):
        if document.id in wanted:
            documents.append(document)
        if len(documents) == len(wanted):
            break
    return LanguageText(text.language, engine.encode(documents, language=text.language))


def describe_split(text: LanguageText, split: str) -> CorpusSplit:
    """Return how much text was used."""
    found = amount(text.documents)
    return CorpusSplit(
        language=text.language,
        split=split,
        documents=found.documents,
        tokens=found.tokens,
        bytes=found.bytes,
        sources=found.sources,
        unknown_share=found.unknown_share,
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
