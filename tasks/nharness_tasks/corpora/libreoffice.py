"""Pages of the LibreOffice help, parallel over languages by file name and element id (MPL-2.0).

Kept: headings and paragraphs with an element id. Left out: menus, the page frame and the debug footer (which have no
such id), source code, paragraphs that are a mere link (lists of related topics), references that the help's own build
could not resolve and, of text that differs by operating system or program, all variants but the default.
"""

from __future__ import annotations

import re
from pathlib import Path

from nharness_tasks.corpora.fetch import debian_package
from nharness_tasks.corpora.pages import Page, Paragraph, has_letter, plain_text

SOURCE = "libreoffice-help"
PACKAGE_SUFFIX = {"en": "en-us", "zh": "zh-cn"}
"""Package name suffixes that differ from the language tag."""

_ELEMENT = re.compile(r'<(p|h[1-6]) id="((?:par|hd)_[^"]+)"([^>]*)>(.*?)</\1>', re.DOTALL)
_CODE_CLASS = re.compile(r'class="[^"]*(?:code|image|related|youtube)')
_ONLY_LINK = re.compile(
    r"(?:\s|<a name=[^>]*></a>|<span[^>]*>)*<a target=[^>]*>(?:(?!</a>).)*</a>(?:\s|</span>)*", re.DOTALL
)
_BROKEN_REFERENCE = "not found]"
_VARIANT = re.compile(
    r'<span hidden="true"[^>]*class="([A-Z]+)"[^>]*>(?:<span[^>]*>[^<]*</span>|<(?!/?span)[^>]*>|[^<])*</span>'
)


def package_of(language: str) -> str:
    """The Debian package that holds the help in this language."""
    return f"libreoffice-help-{PACKAGE_SUFFIX.get(language, language)}"


def pages(language: str, cache: Path) -> list[Page]:
    """All pages in this language that have a paragraph of text, in the order of their names."""
    help_folder = debian_package(package_of(language), cache) / "usr/share/libreoffice/help"
    (text_folder,) = help_folder.glob("*/text")
    files = sorted(text_folder.rglob("*.html"), key=lambda file: file.relative_to(text_folder).as_posix())
    found = (_page(file, file.relative_to(text_folder).with_suffix("").as_posix()) for file in files)
    return [page for page in found if page.paragraphs]


def _page(file: Path, name: str) -> Page:
    markup = file.read_text(encoding="utf-8")
    paragraphs: dict[str, Paragraph] = {}
    for _, key, attributes, inner in _ELEMENT.findall(markup):
        if _CODE_CLASS.search(attributes) or _ONLY_LINK.fullmatch(inner):
            continue
        text = plain_text(_without_variants(inner))
        if has_letter(text) and _BROKEN_REFERENCE not in text:
            paragraphs.setdefault(key, Paragraph(key, text))
    return Page(SOURCE, name, tuple(paragraphs.values()))


def _without_variants(markup: str) -> str:
    """The fragment with the default variant of each switched text; without a default, all but the macOS variant."""
    has_default = 'id="default' in markup
    return _VARIANT.sub(lambda found: "" if has_default or found[1] == "MAC" else found[0], markup)
