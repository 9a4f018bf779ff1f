"""Language tags: BCP 47 in, one canonical spelling out.

`zho_Hans` (FLORES), `cmn`, `zho` (ISO 639-3), `zh-Hans` and `Chinese` are all `zh`; `hin_Latn` is `hi-Latn`.
Parsing is `langcodes`' work; this module only settles which of its spellings is ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import langcodes

from nharness.errors import UnknownNameError, UsageError


@cache
def parse_language(text: str) -> str:
    """Return the canonical tag of one language.

    Accepts BCP 47, FLORES, ISO 639-3 codes and English names. A script that the language has anyway is dropped.
    Raises `UnknownNameError` naming the nearest known tag when nothing matches.
    """
    candidate = text.strip().replace("_", "-")
    if not _is_valid(candidate):
        candidate = _by_name(text.strip())
        if not candidate:
            raise UnknownNameError("language", text, _known_tags())
    standard = langcodes.standardize_tag(candidate, macro=True)
    return _without_default_script(langcodes.Language.get(standard)).to_tag()


def parse_languages(texts: str | Iterable[str]) -> tuple[str, ...]:
    """Return canonical tags in the order given; `texts` may be one comma-separated string.

    Raises `UsageError` when a language comes twice (two spellings of one language included) or none is named.
    """
    parts = texts.split(",") if isinstance(texts, str) else list(texts)
    tags = [parse_language(part) for part in parts if part.strip()]
    repeated = sorted({tag for tag in tags if tags.count(tag) > 1})
    if repeated:
        raise UsageError(f"language {repeated[0]!r} is named more than once in {', '.join(map(str, parts))!r}")
    if not tags:
        raise UsageError(f"no language in {texts!r}; expected tags such as 'en,de,zh'")
    return tuple(tags)


def choose_languages(wanted: Sequence[str], available: Sequence[str], *, where: str) -> tuple[str, ...]:
    """Return `wanted`, canonical, all of which must be in `available`; all available ones when nothing is wanted."""
    if not wanted:
        return tuple(available)
    chosen = parse_languages(wanted)
    for tag in chosen:
        if tag not in available:
            raise UnknownNameError(f"language of {where}", tag, available)
    return chosen


def primary(tag: str) -> str:
    """Return a canonical tag without its region and script: `pt-BR` is `pt`; `no` is the Bokmål that is meant."""
    language = langcodes.Language.get(tag).language or tag
    return "nb" if language == "no" else language


def display_name(tag: str) -> str:
    """Return the language's English name, for people (`zh` -> `Chinese`)."""
    return langcodes.Language.get(tag).display_name()


def _without_default_script(language: langcodes.Language) -> langcodes.Language:
    bare = langcodes.Language.make(language=language.language, territory=language.territory)
    default = bare.maximize().script
    written = {default, "Hang"} if default == "Kore" else {default}  # FLORES writes Korean as kor_Hang
    return bare if language.script in written else language


def _by_name(name: str) -> str:
    """Return the tag of an English name, the whole of it (a likeness is not enough); empty when there is none."""
    try:
        found = langcodes.find(name)
    except LookupError:
        return ""
    return found.to_tag() if found.display_name().casefold() == name.casefold() else ""


def _is_valid(candidate: str) -> bool:
    return bool(candidate) and langcodes.tag_is_valid(candidate)


@cache
def _known_tags() -> tuple[str, ...]:
    return (
        "ar",
        "bn",
        "cs",
        "da",
        "de",
        "el",
        "en",
        "es",
        "et",
        "fa",
        "fi",
        "fr",
        "he",
        "hi",
        "ht",
        "hu",
        "id",
        "it",
        "ja",
        "ko",
        "nl",
        "no",
        "pl",
        "pt",
        "qu",
        "ro",
        "ru",
        "sv",
        "sw",
        "ta",
        "te",
        "th",
        "tr",
        "uk",
        "vi",
        "zh",
    )
