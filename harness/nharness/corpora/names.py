"""What the name of a data file says: the split, the language, and what is left of it.

A name is its path below the corpus folder without suffixes. It is cut at `/` and `.` into words, and those that mean
nothing at `_` and `-` into smaller ones. A whole word goes before a part of one: `my_texts/en.jsonl` is English, though
`my` is Burmese. A word is a language by its tag (`zh`, `zho_Hans`, `pt-BR`) or its name (`german`, `Deutsch`); a code
of three letters that is an everyday word or of a language few files are in (`raw`, `src`, `new`, `log`) is one only
with its script (`new_Deva`). Two different languages, or such a code alone, are a doubt and no answer.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import langcodes

from nharness.languages import canonical, display_name, language_named

SPLITS: Mapping[str, str] = {
    **{name: name for name in ("detect", "train", "validation", "valid", "val", "dev", "test", "eval")},
    "training": "train",
    "testing": "test",
    "heldout": "test",
    "evaluation": "eval",
    "detection": "detect",
    "development": "dev",
}
"""Names of splits in file names, in any case, and the name each goes by."""
EVERY = "all"
"""A name of files of all languages, and no more the tag of Allar."""
_EVERYDAY = (
    "ace ban bar bas cop den ext fan fit gag gay gor gun hoc lad lag len luz mad man mas men mer mic min mos new pag "
    "pam pap pis prd rob rug sat sav seh sei sid sly src sus tab tem tum vec vic war"
)
EVERYDAY = frozenset(_EVERYDAY.split())
"""Codes without a shorter one that are words or abbreviations too."""
FEW = frozenset({"acm", "acq", "ajp", "azb", "dik", "hmn", "kbp", "lus", "pbt", "quy", "taq"})
"""Languages of multilingual test sets whose speakers the Unicode data do not count."""
SHORTEST_NAME = 4
_TAG = re.compile(r"[A-Za-z]{2,3}([-_][A-Z][a-z]{3})?([-_]([A-Z]{2}|[0-9]{3}))?")


@dataclass(frozen=True)
class Meaning:
    """What a name says.

    split, language: None where it does not say. doubt: why no language could be told though some word may be one; empty
    otherwise. rest: the words that say neither, digits as `#`. digits: those digits, in order.
    """

    split: str | None
    language: str | None
    doubt: str
    rest: tuple[str, ...]
    digits: tuple[str, ...]


def meaning(name: str, extra_splits: Collection[str] = ()) -> Meaning:
    """Return what a file's name means; `name` without its suffixes, `/` between folders."""
    split: str | None = None
    whole, parts, rest = list[str](), list[str](), list[str]()
    for word in re.split(r"[/.]", name):
        named = _split(word, extra_splits)
        if named is not None:
            split = named
        elif _tag(word) is not None:
            whole.append(word)
        else:
            for part in _parts(word):
                named = _split(part, extra_splits)
                split = split if named is None else named
                (parts if _tag(part) is not None else rest).append(part) if named is None else None
    chosen, doubt = _decided(whole, parts)
    language = _tag(chosen) if chosen else None
    spare = [word for word in (*whole, *parts) if _tag(word) != language]
    kept = "/".join([*sorted(spare), *rest])
    return Meaning(split, language, doubt, tuple(re.sub(r"\d+", "#", kept).split("/")), tuple(re.findall(r"\d+", kept)))


def _decided(whole: list[str], parts: list[str]) -> tuple[str, str]:
    """Return the word that is the language, or empty and the doubt."""
    for words in (whole, parts):
        sure = {_tag(word): word for word in words if not _is_everyday(word)}
        if len(sure) == 1:
            return next(iter(sure.values())), ""
        if sure:
            named = " and ".join(f"{word} ({display_name(str(tag))})" for tag, word in sure.items())
            return "", f"the name has two languages, {named}; expected one, as in train.de.jsonl"
    doubtful = next(iter([*whole, *parts]), "")
    if not doubtful:
        return "", ""
    return "", (
        f"{doubtful!r} in the name may be the language {display_name(str(_tag(doubtful)))} or a mere word; "
        f"write {doubtful}_{_script(doubtful)} for the language"
    )


def _parts(word: str) -> Iterator[str]:
    """Yield a word's parts between `_` and `-`, those that make up one tag (`zho_Hans`) together."""
    parts = re.split(r"[_-]", word)
    place = 0
    while place < len(parts):
        length = next(
            (n for n in (3, 2) if len(parts) >= place + n and _tag("-".join(parts[place : place + n])) is not None), 1
        )
        yield "-".join(parts[place : place + length])
        place += length


def _split(word: str, extra: Collection[str]) -> str | None:
    return word if word in extra else SPLITS.get(word.lower())


@cache
def _tag(word: str) -> str | None:
    if word.lower() == EVERY:
        return None
    if _TAG.fullmatch(word) and langcodes.tag_is_valid(word.replace("_", "-")):
        return canonical(word.replace("_", "-"))
    is_name = word.isalpha() and (len(word) >= SHORTEST_NAME or not word.isascii())
    named = language_named(word) if is_name else ""
    return canonical(named) if named else None


@cache
def _is_everyday(word: str) -> bool:
    """Tell whether a word that can be a language is more likely none, or says too little."""
    code = re.split(r"[_-]", word)[0].lower()
    language = str(_tag(word)).split("-")[0]
    if len(code) < len(word):
        return False
    if language in EVERYDAY or code in EVERYDAY:
        return True
    return len(language) > len("en") and not (_speakers(language) or language in FEW)


def _speakers(language: str) -> int:
    return langcodes.Language.get(language).speaking_population()


def _script(word: str) -> str:
    return langcodes.Language.get(str(_tag(word))).maximize().script or "Latn"
