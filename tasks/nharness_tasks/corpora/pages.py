"""Pages and paragraphs of running text: the values that flow from a text source to a corpus."""

from __future__ import annotations

import hashlib
import html
import re
import unicodedata
from dataclasses import dataclass

LANGUAGES = ("en", "de", "fr", "es", "ru", "zh", "ja", "ko", "vi", "id")
"""BCP 47 tags of the ten languages of the sample corpus and of babel, in the order of every table."""

_TAG = re.compile(r"<[^>]*>")
_SPACE = re.compile(r"\s+")
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class Paragraph:
    """One paragraph: `key` names it inside its page in every language, `text` is one line of plain text."""

    key: str
    text: str


@dataclass(frozen=True)
class Page:
    """One page of one source: `name` is the same in every language; paragraphs are in reading order."""

    source: str
    name: str
    paragraphs: tuple[Paragraph, ...]

    @property
    def text(self) -> str:
        """The paragraphs, one a line."""
        return "\n".join(paragraph.text for paragraph in self.paragraphs)


def plain_text(markup: str) -> str:
    """The text of an HTML fragment: tags removed, entities resolved, white space collapsed to single spaces."""
    text = html.unescape(_TAG.sub("", markup)).replace("\u00ad", "").replace("\ufeff", "")
    return _SPACE.sub(" ", text).strip()


def has_letter(text: str) -> bool:
    """Whether the text holds a letter of any script."""
    return _LETTER.search(text) is not None


def composed(text: str) -> str:
    """The text with every letter and its accents as one code point where there is one (Unicode form NFC)."""
    return unicodedata.normalize("NFC", text)


def content_hash(text: str) -> str:
    """SHA-256 of the composed text in UTF-8 as 64 hexadecimal digits: equal for text that looks the same."""
    return hashlib.sha256(composed(text).encode("utf-8")).hexdigest()
