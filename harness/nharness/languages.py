"""Language tags: BCP 47 in, one canonical spelling out.

`zho_Hans` (FLORES), `cmn`, `zho` (ISO 639-3), `zh-Hans`, `Chinese` and `中文` are all `zh`; `hin_Latn` is `hi-Latn`.
Parsing is `langcodes`' work; this module only settles which of its spellings is ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from functools import cache

import langcodes

from nharness.errors import UnknownNameError, UsageError

KEPT = {"tw": "tw", "twi": "tw", "fat": "fat"}
"""Members of a macrolanguage that corpora hold beside another member: Twi and Fante are not merged into Akan."""
OTHER_NAMES = {"castilian": "es", "farsi": "fa", "haitian": "ht", "mandarin": "zh", "panjabi": "pa"}
_COMMON = (
    "ar bg bn ca cs da de el en es et eu fa fi fr he hi hr ht hu id it ja ko lt lv ms nb nl pl pt qu ro ru sk sl sr "
    "sv sw ta te th tr uk ur vi zh"
)
COMMON = tuple(_COMMON.split())
"""Languages whose names are searched for the nearest to one that is unknown."""


@cache
def parse_language(text: str) -> str:
    """Return the canonical tag of one language.

    Accepts BCP 47, FLORES, ISO 639-3 codes, and the language's English or own name. A script that the language has
    anyway is dropped. Raises `UnknownNameError` naming the nearest known language when nothing matches.
    """
    candidate = text.strip().replace("_", "-")
    if not _is_valid(candidate):
        candidate = language_named(text)
        if not candidate:
            raise UnknownNameError("language", text, (), hint=_nearest(text.strip()))
    return canonical(candidate)


@cache
def canonical(candidate: str) -> str:
    """Return the one spelling of a valid tag."""
    standard = KEPT.get(candidate.lower().partition("-")[0])
    if standard is None:
        standard = langcodes.standardize_tag(candidate, macro=True)
    else:
        standard = "-".join([standard, *candidate.split("-")[1:]])
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
    """Return the languages of `available` that are `wanted`, all of them when nothing is.

    `zh` chooses `zh-CN` and the other way round, where there is one such language (see `match`). Raises
    `UnknownNameError` for one that is not there, `UsageError` when two of those wanted are one there.
    """
    if not wanted:
        return tuple(available)
    chosen = []
    for tag in parse_languages(wanted):
        found = match(tag, available)
        if found is None:
            raise UnknownNameError(f"language of {where}", tag, available)
        if found in chosen:
            raise UsageError(f"{', '.join(wanted)}: two of them mean {found!r} of {where}; name it once")
        chosen.append(found)
    return tuple(chosen)


def match(tag: str, available: Iterable[str]) -> str | None:
    """Return the one of `available` that a canonical tag means: itself, else the only one that differs in a region.

    The region stands in one of the two alone, and the script is the same: `zh-CN` meets `zh`, `pt` meets `pt-BR`;
    `zh-TW` does not meet `zh`, nor `pt-BR` `pt-PT`. None where there is none, or more than one.
    """
    known = tuple(available)
    if tag in known:
        return tag
    bare, region = _apart(tag)
    near = [other for other in known if _apart(other)[0] == bare and not (region and _apart(other)[1])]
    return near[0] if len(near) == 1 else None


def primary(tag: str) -> str:
    """Return a canonical tag without its region and script: `pt-BR` is `pt`; `no` is the Bokmål that is meant."""
    language = langcodes.Language.get(tag).language or tag
    return "nb" if language == "no" else language


def script(tag: str) -> str:
    """Return the script that a canonical tag is written in, by itself or by the language's custom: `ru` is `Cyrl`."""
    return langcodes.Language.get(tag).maximize().script or ""


def spellings(tag: str) -> tuple[str, ...]:
    """Return the codes under which families of tasks know a canonical tag: BCP 47, ISO 639-3, FLORES, its name."""
    language = langcodes.Language.get(tag)
    long, wrote = language.to_alpha3(), script(tag)
    named = display_name(tag).lower().replace(" ", "_")
    found = (tag, tag.replace("-", "_"), tag.lower(), long, f"{long}_{wrote}", primary(tag), named)
    return tuple(dict.fromkeys(found))


def display_name(tag: str) -> str:
    """Return the language's English name, for people (`zh` -> `Chinese`)."""
    return langcodes.Language.get(tag).display_name()


@cache
def language_named(name: str) -> str:
    """Return the tag of a language by its English or its own name, the whole of it; empty when there is none."""
    wanted = name.strip().casefold()
    if wanted in OTHER_NAMES:
        return OTHER_NAMES[wanted]
    try:
        found = langcodes.find(wanted)
    except LookupError:
        return ""
    exact = {found.display_name().casefold(), found.autonym().casefold()}  # `find` takes what is merely like a name
    return found.to_tag() if wanted in exact else ""


@cache
def _apart(tag: str) -> tuple[str, str]:
    """Return a tag with its script and without its region, and the region."""
    language = langcodes.Language.get(tag)
    region = language.territory or ""
    bare = "-".join(part for part in tag.split("-") if part not in {region, language.script})
    return f"{bare} {script(tag)}", region


def _without_default_script(language: langcodes.Language) -> langcodes.Language:
    bare = langcodes.Language.make(language=language.language, territory=language.territory)
    default = bare.maximize().script
    written = {default, "Hang"} if default == "Kore" else {default}  # FLORES writes Korean as kor_Hang
    return bare if language.script in written else language


def _is_valid(candidate: str) -> bool:
    return bool(candidate) and langcodes.tag_is_valid(candidate)


def _nearest(text: str) -> str:
    names = {name: tag for tag in COMMON for name in (tag, display_name(tag), langcodes.Language.get(tag).autonym())}
    folded = {name.casefold(): name for name in names}
    close = difflib.get_close_matches(text.casefold(), folded, n=1, cutoff=0.6)
    if close and len(text) > 3:  # among codes of two or three letters everything is near
        name = folded[close[0]]
        return f"; did you mean {name!r} ({names[name]})?"
    return (
        "; expected a tag or a name, such as de, zh-Hant, hin_Latn, German or Deutsch; "
        "a language without a tag of its own is written und-x-NAME, as in und-x-a"
    )
