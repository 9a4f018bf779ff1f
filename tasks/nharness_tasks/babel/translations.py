"""Text in which languages stand side by side, and the same text with the partners shuffled.

A document is a passage in one language and, on the next line, its partner in another: the translation of the passage,
or, for a heading, the paragraph below it: a question answered in a given language. In the shuffled text every passage
keeps its place and language, but its partner belongs to another passage. Both texts have the same words, languages
and changes of language; only in the first do partners mean the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from nharness_tasks.corpora.pages import Page, Paragraph
from nharness_tasks.corpora.splits import Edition

LONGEST = 400
"""Characters of a passage; longer ones would be cut off before their partner begins."""
HEADING = "hd_"
"""How the keys of headings begin (`nharness_tasks.corpora.libreoffice`)."""


@dataclass(frozen=True)
class Couple:
    """Two passages that stand side by side."""

    first: str
    second: str


Couples = dict[str, list[Couple]]
"""By `first+second` language."""


def translations(train: Edition, languages: Sequence[str]) -> Couples:
    """Translations and answers in every ordered pair of these languages, in the order of the pages."""
    pages = {language: {(page.source, page.name): page for page in train[language]} for language in languages}
    found: Couples = {}
    for first in languages:
        for second in languages:
            if first != second:
                shared = ((page, pages[second][name]) for name, page in pages[first].items() if name in pages[second])
                found[f"{first}+{second}"] = [couple for pair in shared for couple in _couples(*pair)]
    return found


def _couples(here: Page, there: Page) -> Iterator[Couple]:
    other = {paragraph.key: paragraph.text for paragraph in there.paragraphs if len(paragraph.text) <= LONGEST}
    heading = ""
    for paragraph in here.paragraphs:
        if len(paragraph.text) > LONGEST:
            continue
        if paragraph.key in other:
            yield Couple(paragraph.text, other[paragraph.key])
        if heading and paragraph.key in other:
            yield Couple(heading, other[paragraph.key])
        heading = paragraph.text if paragraph.key.startswith(HEADING) else ""


def mixed(couples: Couples) -> Couples:
    """The same passages in the same places, each with the partner of the couple half a list away."""
    return {
        pair: [
            Couple(each.first, found[(place + len(found) // 2) % len(found)].second) for place, each in enumerate(found)
        ]
        for pair, found in couples.items()
    }


def as_edition(couples: Couples, languages: Sequence[str]) -> Edition:
    """A page per couple; both directions of a pair of languages under one name, alternating."""
    return {
        f"{one}+{other}": tuple(_in_turn(couples[f"{one}+{other}"], couples[f"{other}+{one}"]))
        for one, other in combinations(languages, 2)
    }


def _in_turn(forth: Sequence[Couple], back: Sequence[Couple]) -> Iterator[Page]:
    for number, both in enumerate(zip(forth, back, strict=False)):
        for couple in both:
            texts = (Paragraph("first", couple.first), Paragraph("second", couple.second))
            yield Page("couples", str(number), texts)
