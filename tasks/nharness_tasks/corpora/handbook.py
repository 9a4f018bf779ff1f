"""Pages of the Debian Administrator's Handbook, parallel over languages by file name (GPL-2+ or CC-BY-SA-3.0).

The ten languages' editions are complete to different degrees; what is untranslated stands there in English and is
removed later, as everywhere, by comparison with the English text.
"""

from __future__ import annotations

import re
from pathlib import Path

from nharness_tasks.corpora.fetch import debian_package
from nharness_tasks.corpora.pages import Page, Paragraph, has_letter, plain_text

SOURCE = "debian-handbook"
EDITIONS = {
    "en": "en-US",
    "de": "de-DE",
    "fr": "fr-FR",
    "es": "es-ES",
    "ru": "ru-RU",
    "zh": "zh-CN",
    "ja": "ja-JP",
    "ko": "ko-KR",
    "vi": "vi-VN",
    "id": "id-ID",
}

_PARAGRAPH = re.compile(r'<div class="para">((?:(?!<div|<pre|</div>).)*)</div>', re.DOTALL)


def pages(language: str, cache: Path) -> list[Page]:
    """All pages in this language that have a paragraph of text, in the order of their names."""
    folder = debian_package("debian-handbook", cache) / "usr/share/doc/debian-handbook/html" / EDITIONS[language]
    found = (_page(file) for file in sorted(folder.glob("*.html")))
    return [page for page in found if page.paragraphs]


def _page(file: Path) -> Page:
    texts = map(plain_text, _PARAGRAPH.findall(file.read_text(encoding="utf-8")))
    paragraphs = (Paragraph(str(number), text) for number, text in enumerate(texts) if has_letter(text))
    return Page(SOURCE, file.stem, tuple(paragraphs))
