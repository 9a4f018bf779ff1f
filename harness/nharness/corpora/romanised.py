"""Languages in Latin letters, `ru-Latn` beside `ru`: the same documents, so that language and script can be told apart.

`uroman` (Hermjakob et al., ACL 2018) transliterates by what letters sound like: Devanagari with its vowels, Thai in the
order of speech; Chinese and Japanese characters with Mandarin readings and without tones, so that `ja-Latn` is no
romanisation that people write. What it leaves as it is (compatibility letters such as the micro sign) is taken apart
and tried again; marks of pronunciation go; any other letter outside Latin is an error.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from importlib.metadata import version
from typing import Any

import langcodes

from nharness.corpora.corpus import Corpus, Document, Reader
from nharness.errors import CorpusError
from nharness.languages import canonical, match, script

Romanise = Callable[[str, str], str]
"""Text and canonical tag of its language in, text in Latin letters out."""
KEPT_TEXTS = 1 << 15


def own_script(tag: str) -> str:
    """Return a language in the script that it is usually written in: `hi-Latn` is `hi`."""
    language = langcodes.Language.get(tag)
    return canonical(langcodes.Language.make(language=language.language, territory=language.territory).to_tag())


def in_latin(tag: str) -> str:
    """Return a language in Latin script: `zh-TW` is `zh-Latn-TW`."""
    language = langcodes.Language.get(tag)
    made = langcodes.Language.make(language=language.language, script="Latn", territory=language.territory)
    return canonical(made.to_tag())


def with_romanised(corpus: Corpus, wanted: Sequence[str], romanise: Romanise | None = None) -> Corpus:
    """Return the corpus with languages in Latin script beside its own.

    wanted: canonical tags; those in Latin script that the corpus lacks are made of their own script's. With none, every
    language in another script gets one. Raises `CorpusError` when none of them can be made.
    """
    made = _made_of(corpus, wanted)
    if not made:
        raise CorpusError(
            f"corpus {corpus.name!r}: nothing to romanise; expected a language in a script other than Latin, asked for "
            "as ru-Latn or hi-Latn"
        )
    by = romanise or _uroman
    how = f"romanised by uroman {_version()}" if romanise is None else "romanised"
    readers = {
        split: {
            **found,
            **{tag: _reader(found[base], base, by) for tag, base in made.items() if base in found},
        }
        for split, found in corpus.readers.items()
    }
    identity = f"{corpus.identity}\n{how}" if corpus.identity else ""
    return Corpus(f"{corpus.name} ({how})", readers, identity, {**corpus.notes, "romanised": ", ".join(made)})


def _made_of(corpus: Corpus, wanted: Sequence[str]) -> dict[str, str]:
    """Return what each language in Latin script is made of."""
    if not wanted:
        return {in_latin(tag): tag for tag in corpus.languages if script(tag) != "Latn"}
    lacking = [tag for tag in wanted if script(tag) == "Latn" and match(tag, corpus.languages) is None]
    bases = {tag: match(own_script(tag), corpus.languages) for tag in lacking}
    return {tag: base for tag, base in bases.items() if base is not None and script(base) != "Latn"}


def _reader(read: Reader, language: str, romanise: Romanise) -> Reader:
    def latin() -> Iterator[Document]:
        for document in read():
            text, prompt = (romanise(part, language) if part else "" for part in (document.text, document.prompt))
            yield replace(document, text=text, prompt=prompt)

    return latin


@lru_cache(maxsize=KEPT_TEXTS)
def _uroman(text: str, language: str) -> str:
    code = langcodes.Language.get(language).to_alpha3()

    def latin(part: str) -> str:
        return "\n".join(str(_romaniser().romanize_string(line, lcode=code)) for line in part.split("\n"))

    return "".join(letter if is_latin(letter) else _again(letter, latin) for letter in latin(text))


def is_latin(letter: str) -> bool:
    """Tell whether a character is a Latin letter, or no letter and no sign of a script at all."""
    kind, name = unicodedata.category(letter), unicodedata.name(letter, "")
    return kind[0] not in "LM" or name.startswith(("LATIN ", "COMBINING ", "FULLWIDTH LATIN "))


def _again(letter: str, latin: Callable[[str], str]) -> str:
    parts = latin(unicodedata.normalize("NFKD", letter))
    if all(map(is_latin, parts)):
        return parts
    if unicodedata.category(letter)[0] == "M" or unicodedata.category(letter) == "Lm":
        return ""
    raise CorpusError(f"{letter!r} ({unicodedata.name(letter, 'a character without name')}) has no Latin letters")


@cache
def _romaniser() -> Any:
    try:
        import uroman  # noqa: PLC0415 - an extra, and seconds to load
    except ImportError as error:
        raise CorpusError("romanised text needs uroman; pip install 'nharness[romanise]'") from error
    return uroman.Uroman()


def _version() -> str:
    _romaniser()
    return version("uroman")
