"""Messages of Firefox and Thunderbird, parallel over languages by file name and message id (MPL-2.0).

Read from the language packages' Fluent files. Kept: messages that end like a sentence, hence explanations, questions
and warnings rather than labels of buttons. Left out: messages with variables or variants, which are no running text.
A message's attributes follow it with their names (".label = ..."), in about one paragraph of nine.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from nharness_tasks.corpora.fetch import debian_package
from nharness_tasks.corpora.pages import Page, Paragraph, has_letter, plain_text

SOURCE = "mozilla-messages"
PROGRAMS = {"firefox": "firefox-esr-l10n-", "thunderbird": "thunderbird-l10n-"}
"""Prefix of the Debian packages of each program."""
PACKAGE_SUFFIX = {"en": "en-gb", "es": "es-es", "zh": "zh-cn"}
"""Package name suffixes that differ from the language tag; American English is in no language package."""

_MESSAGE = re.compile(r"^(\w[\w-]*)[ ]*=(.*(?:\n(?:[ ]+.*|[ ]*(?=\n[ ])))*)", re.MULTILINE)
_BRAND = re.compile(r"\{\s*-(brand|vendor)-[\w-]*(?:\([^)]*\))?\s*\}")
_SENTENCE_END = re.compile(r"[.!?…。！？]['\"»”’」)]*$")
_SHORTEST = 12


def packages(language: str) -> list[str]:
    """The Debian packages with the messages in this language, Firefox's first."""
    return [prefix + PACKAGE_SUFFIX.get(language, language) for prefix in PROGRAMS.values()]


def pages(language: str, cache: Path) -> list[Page]:
    """All Fluent files in this language that have a sentence, in the order of their names, Firefox's first."""
    found: list[Page] = []
    for program, package in zip(PROGRAMS, packages(language), strict=True):
        (archive,) = debian_package(package, cache).rglob("langpack-*.xpi")
        found += (page for page in _of_archive(program, archive) if page.paragraphs)
    return found


def _of_archive(program: str, archive: Path) -> Iterator[Page]:
    with zipfile.ZipFile(archive) as files:
        for name in sorted(files.namelist()):
            if name.endswith(".ftl"):
                yield _page(program, name, files.read(name).decode("utf-8"))


def _page(program: str, name: str, text: str) -> Page:
    before, _, after = name.partition("localization/")
    within = after.partition("/")[2].removesuffix(".ftl")  # without the folder named after the language
    return Page(SOURCE, f"{program}/{before}{within}", tuple(_paragraphs(text, program.title())))


def _paragraphs(text: str, program: str) -> Iterator[Paragraph]:
    for key, pattern in _MESSAGE.findall(text):
        sentence = plain_text(_BRAND.sub(lambda found: "Mozilla" if found[1] == "vendor" else program, pattern))
        if _is_sentence(sentence):
            yield Paragraph(key, sentence)


def _is_sentence(text: str) -> bool:
    whole = "{" not in text and "}" not in text
    return whole and len(text) >= _SHORTEST and has_letter(text) and _SENTENCE_END.search(text) is not None
