"""Cutting pages into the splits `train`, `detect` and `eval`, which share no page and no paragraph.

1. A hash of its source and name puts every page into one split, the same in every language.
2. Untranslated paragraphs are dropped: those whose words are, to a share of `UNTRANSLATED` or more, words of the
   English paragraph of the same key, and those whose whole text is an English paragraph.
3. Train: of equal paragraphs in a language only the first is kept.
4. Detect and eval: a paragraph is kept if all languages have it and in none of them its text occurs in train, in the
   other of the two, or earlier in its own split. They are parallel, key by key.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nharness_tasks.corpora.pages import Page, Paragraph, content_hash

UNTRANSLATED = 0.7
_WORD = re.compile(r"[^\W\d_]+")

Edition = Mapping[str, tuple[Page, ...]]
"""Pages per language."""


@dataclass(frozen=True)
class SplitShares:
    """Shares of all pages, each between 0 and 1; what is left over is train."""

    detect: float
    eval: float


@dataclass(frozen=True)
class Splits:
    """Pages per language of each split; the pages of `detect` and `eval` are parallel over languages."""

    train: Edition
    detect: Edition
    eval: Edition


def split_name(page: Page, shares: SplitShares) -> str:
    """`train`, `detect` or `eval`: a function of the page's source and name alone."""
    digest = hashlib.sha256(f"{page.source}/{page.name}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    if position < shares.detect:
        return "detect"
    return "eval" if position < shares.detect + shares.eval else "train"


def cut(editions: Edition, shares: SplitShares, train_only: Edition, held_out: Edition) -> Splits:
    """The three splits of `editions`; `train_only` joins train whole, `held_out` is never in train.

    Half of the pages of `held_out` fall into detect, half into eval.
    """
    translated = {language: _translated(pages, editions["en"]) for language, pages in editions.items()}
    extra = {language: _translated(pages, train_only["en"]) for language, pages in train_only.items()}
    outside = SplitShares(0.5, 0.5)
    train = {
        language: _first_occurrences([*_of("train", translated[language], shares), *extra.get(language, ())])
        for language in editions
    }
    seen = {language: _hashes(pages) for language, pages in train.items()}
    parts = {
        name: {
            language: [*_of(name, held_out[language], outside), *_of(name, translated[language], shares)]
            for language in editions
        }
        for name in ("detect", "eval")
    }
    detect = _parallel_and_new(parts["detect"], seen)
    return Splits(train, detect, _parallel_and_new(parts["eval"], seen))


def _of(name: str, pages: Iterable[Page], shares: SplitShares) -> list[Page]:
    return [page for page in pages if split_name(page, shares) == name]


def _translated(pages: Iterable[Page], english: Iterable[Page]) -> tuple[Page, ...]:
    pages, english = tuple(pages), tuple(english)
    if pages == english:
        return pages
    anywhere = _hashes(english)
    originals = {page.name: {paragraph.key: paragraph.text for paragraph in page.paragraphs} for page in english}
    result = []
    for page in pages:
        original = originals.get(page.name, {})
        fresh = (p for p in page.paragraphs if not _mostly_words_of(p.text, original.get(p.key, "")))
        result.append(_filtered(page, {p.key for p in fresh if content_hash(p.text) not in anywhere}))
    return tuple(result)


def _mostly_words_of(text: str, original: str) -> bool:
    words, known = _WORD.findall(text.lower()), set(_WORD.findall(original.lower()))
    return bool(words) and sum(word in known for word in words) >= UNTRANSLATED * len(words)


def _filtered(page: Page, keys: set[str]) -> Page:
    return Page(page.source, page.name, tuple(paragraph for paragraph in page.paragraphs if paragraph.key in keys))


def _hashes(pages: Iterable[Page]) -> set[str]:
    return {content_hash(paragraph.text) for page in pages for paragraph in page.paragraphs}


def _first_occurrences(pages: Iterable[Page]) -> tuple[Page, ...]:
    seen: set[str] = set()
    kept = []
    for page in pages:
        fresh = set()
        for paragraph in page.paragraphs:
            if paragraph.text not in seen:
                seen.add(paragraph.text)
                fresh.add(paragraph.key)
        if fresh:
            kept.append(_filtered(page, fresh))
    return tuple(kept)


def _parallel_and_new(editions: Mapping[str, list[Page]], seen: Mapping[str, set[str]]) -> Edition:
    """The paragraphs that all languages have and none has in `seen`, to which they are added."""
    by_name = {language: {(p.source, p.name): p for p in pages} for language, pages in editions.items()}
    result: dict[str, list[Page]] = {language: [] for language in editions}
    for name in by_name["en"]:
        versions = {language: pages[name] for language, pages in by_name.items() if name in pages}
        if len(versions) < len(editions):
            continue
        keys = _new_keys(versions, seen)
        for language, page in versions.items():
            if keys:
                result[language].append(_filtered(page, keys))
    return {language: tuple(pages) for language, pages in result.items()}


def _new_keys(versions: Mapping[str, Page], seen: Mapping[str, set[str]]) -> set[str]:
    texts = {language: {p.key: p for p in page.paragraphs} for language, page in versions.items()}
    kept: set[str] = set()
    for key in texts["en"]:
        present: dict[str, Paragraph] = {language: found[key] for language, found in texts.items() if key in found}
        hashes = {language: content_hash(paragraph.text) for language, paragraph in present.items()}
        if len(present) == len(versions) and not any(digest in seen[language] for language, digest in hashes.items()):
            kept.add(key)
            for language, digest in hashes.items():
                seen[language].add(digest)
    return kept
