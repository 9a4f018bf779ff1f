"""Evaluation text and its overlap with detection text, where the corpus ships with nharness."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from pathlib import Path

from nharness.analysis.measurements import Measurement
from nharness.corpora import Corpus, Document, load_corpus, overlap
from nharness.information import BITS_PER_BYTE
from nharness.plugins import Plugins
from nharness.record.model import Record
from nharness.record.problems import Problem, shown
from nharness.record.sources import TextOverlap


def text_problems(record: Record, measurements: Sequence[Measurement]) -> Iterator[Problem]:
    """Yield items that are not documents of the corpus, and an overlap other than that of its documents."""
    corpus = _shipped(record.corpus.name)
    if corpus is None or corpus.fingerprint != record.corpus.fingerprint:
        return
    own = {task.name for task in record.tasks if task.metric == BITS_PER_BYTE and task.lm_eval is None}
    shared: list[TextOverlap] = []
    for intact in measurements:
        if intact.target is not None or intact.task not in own:
            continue
        documents = {document.id: document for document in corpus.documents(intact.language, "eval")}
        for place, name in enumerate(intact.ids):
            wrong = _wrong(documents.get(name), intact.clusters[place], float(intact.values["bytes"][place]))
            if wrong:
                yield Problem("/files", f"item {shown(name)} of {intact.language}: {wrong}")
                break
        else:
            shared += _overlap(record, corpus, intact.language, [documents[name] for name in intact.ids])
    got, expected = ({each.language: each for each in part} for part in (record.corpus.overlap, shared))
    for tag in dict.fromkeys([*got, *expected]):
        if own and got.get(tag) != expected.get(tag):
            yield Problem(
                "/corpus/overlap", f"detection and evaluation text of {tag} share other documents than it says"
            )


@cache
def _shipped(name: str) -> Corpus | None:
    """Return a corpus that ships with nharness, or None."""
    registered = Plugins().entries("corpora").get(name)
    if registered is None or registered.plugin != "tasks":
        return None
    value = registered.entry.value
    return load_corpus(value) if isinstance(value, Path) else None


def _wrong(document: Document | None, cluster: str, size: float) -> str:
    """Return how an item contradicts the document it names."""
    if document is None:
        return "the corpus has no such document"
    if document.cluster != cluster:
        return f"its source is {shown(document.cluster)}"
    whole = len((document.text or document.prompt).encode()) + len(document.prompt.encode())
    return f"{size:g} bytes of a document of {whole}" if size > whole else ""


def _overlap(record: Record, corpus: Corpus, tag: str, evaluated: Sequence[Document]) -> Iterator[TextOverlap]:
    """Yield the documents that evaluation shares with the first documents of the detection text."""
    count = next((s.documents for s in record.corpus.splits if (s.language, s.split) == (tag, "detect")), 0)
    shared = overlap(islice(corpus.documents(tag, "detect"), count), evaluated)
    if shared:
        share = len(shared) / len(evaluated)
        yield TextOverlap(language=tag, documents=len(shared), share=share, examples=shared[:10])
