"""Parallel documents: pages cut at the same paragraph limits in every language."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nharness_tasks.corpora.pages import Page, composed
from nharness_tasks.corpora.splits import Edition

ENOUGH = 600
"""A document ends with the paragraph at which its English text reaches this many characters."""
LONGEST = 1500
"""No document is longer than this many characters in any language."""
SHORTEST = 300
"""The shortest document, in characters of its English text (the Chinese of it may have 80)."""


@dataclass(frozen=True)
class Document:
    """One document in one language; `id` is the same in all of them."""

    id: str
    text: str
    source: str


def parallel_documents(pages: Edition) -> dict[str, list[Document]]:
    """Per language the documents cut from parallel pages, all languages in the same order.

    They are ordered by the SHA-256 of the id, so that the first are a fair sample of all.
    """
    parallel = (dict(zip(pages, versions, strict=True)) for versions in zip(*pages.values(), strict=True))
    cuts = [cut for versions in parallel for cut in _cuts(versions)]
    cuts.sort(key=lambda cut: hashlib.sha256(cut["en"].id.encode()).digest())
    return {language: [cut[language] for cut in cuts] for language in pages}


def _cuts(versions: dict[str, Page]) -> Iterator[dict[str, Document]]:
    page = versions["en"]
    texts = {
        language: {paragraph.key: composed(paragraph.text) for paragraph in version.paragraphs}
        for language, version in versions.items()
    }
    for number, keys in enumerate(_groups([paragraph.key for paragraph in page.paragraphs], texts), start=1):
        identity = f"{page.source}/{page.name}#{number}"
        yield {
            language: Document(identity, "\n".join(found[key] for key in keys), page.source)
            for language, found in texts.items()
        }


def _groups(keys: Iterable[str], texts: dict[str, dict[str, str]]) -> Iterator[list[str]]:
    """Runs of keys, a document each; runs too short or too long for one are left out."""
    group: list[str] = []
    for key in keys:
        if group and _longest([*group, key], texts) > LONGEST:
            yield from _if_right(group, texts)
            group = []
        group.append(key)
        if _length(group, texts["en"]) >= ENOUGH:
            yield from _if_right(group, texts)
            group = []
    yield from _if_right(group, texts)


def _if_right(group: list[str], texts: dict[str, dict[str, str]]) -> Iterator[list[str]]:
    if group and _length(group, texts["en"]) >= SHORTEST and _longest(group, texts) <= LONGEST:
        yield group


def _longest(keys: list[str], texts: dict[str, dict[str, str]]) -> int:
    return max(_length(keys, found) for found in texts.values())


def _length(keys: list[str], found: dict[str, str]) -> int:
    return sum(len(found[key]) + 1 for key in keys) - 1
