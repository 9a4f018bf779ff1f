"""NTREX-128: news in English and 128 translations (Federmann, Kocmi and Xin, SUMEVAL 2022; CC BY-SA 4.0), as a corpus.

`--corpus ntrex:FOLDER` reads a copy of the public repository (MicrosoftTranslator/NTREX) or the folder of its text
files; `--corpus ntrex` reads the folder in the environment variable `NHARNESS_NTREX`, else the copy on the hub, one
language at a time.

1. A file has 1 997 sentences, one per line, the same in every language; they belong to 123 news documents in order.
2. A document of the corpus is `SENTENCES` consecutive sentences of one news document, a line each: parallel, with the
   same id in every language. The news document is its cluster. The first of every news document come first, so that
   few tokens cover many sources.
3. News documents, ordered by a hash of their number, alternate between `detect` and `eval`, so that each half has 61
   or 62 of them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import groupby
from pathlib import Path

from nharness.corpora import Corpus, Document
from nharness.corpora.romanised import own_script
from nharness.corpora.rows import read_lines
from nharness.errors import CorpusError, FileFormatError, UnknownNameError, UnreachableError
from nharness.languages import match, parse_language

FOLDER_VARIABLE = "NHARNESS_NTREX"
HUB = "davidstap/NTREX"
LICENCE = "CC BY-SA 4.0"
SENTENCES = 4
LINES = 1997
_LENGTHS = (
    "16 6 21 14 18 21 17 16 15 4 18 11 21 27 27 4 15 7 19 5 27 9 7 11 20 6 13 27 19 6 14 6 20 26 20 9 15 27 13 "
    "6 24 10 15 30 8 15 24 15 25 21 21 10 11 27 5 18 13 23 23 15 14 18 17 15 6 14 14 11 19 22 12 18 26 20 24 "
    "20 27 21 19 23 10 9 21 24 15 12 11 28 14 17 24 9 12 21 12 21 6 27 15 7 21 29 8 10 10 21 14 24 17 14 5 22 "
    "9 19 21 9 14 15 27 9 10 29 9"
)
LENGTHS = tuple(map(int, _LENGTHS.split()))
"""Sentences of each news document, for copies without `DOCUMENT_IDS.tsv`."""
_CODES = (
    "afr amh arb aze-Latn bak bel bem ben bod bos bul cat ces ckb-Arab cym dan deu div dzo ell eng eng-GB "
    "eng-IN eng-US est eus ewe fao fas fij fil fin fra fra-CA fuc gle glg guj gsw-BE gsw-ZH hau heb hin hmn "
    "hrv hun hye ibo ind isl ita jpn kan kat kaz khm kin kir kmr kor lao lav lit ltz mal mar mey mkd mlg mlt "
    "mon mri msa mya nde nep nld nno nob nso nya orm pan pol por por-BR prs pus ron rus shi sin slk slv smo "
    "sna-Latn snd-Arab som spa spa-MX sqi srp-Cyrl srp-Latn ssw swa swe tah tam tat tel tgk-Cyrl tha tir ton "
    "tsn tuk tur uig ukr urd uzb ven vie wol xho yor yue zho-CN zho-TW zul"
)
_WRITTEN = {"gsw-ZH": "gsw-x-zh", "zho-CN": "zh", "zho-TW": "zh-Hant"}
"""Codes that are no tag, or one that other corpora write shorter."""

Read = Callable[[str], Sequence[str]]
"""The lines of a language, by its code."""


def tag_of(code: str) -> str:
    """Return the canonical tag of one of NTREX's codes."""
    return parse_language(_WRITTEN.get(code, code))


def corpus(folder: Path | None = None, languages: Sequence[str] = ()) -> Corpus:
    """Return the corpus of some languages, by default all.

    folder: a copy; None takes the one in `NHARNESS_NTREX`, else the hub's. Raises `CorpusError` for a folder that is
    no copy, `UnknownNameError` for a language that NTREX or the copy does not have.
    """
    place = folder or (Path(os.environ[FOLDER_VARIABLE]) if os.environ.get(FOLDER_VARIABLE) else None)
    files = _files(place) if place is not None else {}
    codes = {tag_of(code): code for code in (files or _CODES.split())}
    chosen = [_chosen(tag, codes) for tag in map(parse_language, languages)] if languages else list(codes)
    read: Read = (lambda code: _of_file(files[code])) if place is not None else cache(_of_hub)
    lengths = _lengths(place) if place is not None else LENGTHS
    readers = {
        split: {tag: partial(_documents, read, codes[tag], lengths, split) for tag in dict.fromkeys(chosen)}
        for split in ("detect", "eval")
    }
    return Corpus("ntrex", readers, notes={"licence": LICENCE})


def _chosen(tag: str, codes: dict[str, str]) -> str:
    """Return the language meant; for a romanised one that is absent, the language it can be made from."""
    found = match(tag, codes) or match(own_script(tag), codes)
    if found is None:
        raise UnknownNameError("language of corpus 'ntrex'", tag, codes)
    return found


def _documents(read: Read, code: str, lengths: Sequence[int], split: str) -> Iterator[Document]:
    lines = read(code)
    if len(lines) != sum(lengths):
        raise FileFormatError(f"NTREX {code}: {len(lines)} lines, expected {sum(lengths)}, one per sentence")
    chosen, start, found = _numbers_of(split, len(lengths)), 0, list[tuple[int, int, str]]()
    for number, length in enumerate(lengths, start=1):
        for part, first in enumerate(range(start, start + length, SENTENCES), start=1):
            text = "\n".join(lines[first : min(first + SENTENCES, start + length)])
            found += [(part, number, text)] if number in chosen else []
        start += length
    for part, number, text in sorted(found):
        yield Document(f"ntrex/{number:03d}#{part}", text, source=f"ntrex/{number:03d}")


@cache
def _numbers_of(split: str, count: int) -> frozenset[int]:
    order = sorted(range(1, count + 1), key=lambda n: hashlib.sha256(f"ntrex/{n:03d}".encode()).digest())
    return frozenset(order[0 if split == "detect" else 1 :: 2])


def _files(place: Path) -> dict[str, Path]:
    found = {
        path.name.removesuffix(".txt").partition(".")[2]: path
        for below in (place, place / "NTREX-128")
        for path in sorted(below.glob("newstest2019-*.txt"))
    }
    if not found:
        raise CorpusError(
            f"{place}: not a copy of NTREX; expected files such as newstest2019-ref.deu.txt, there or in NTREX-128"
        )
    return found


def _of_file(path: Path) -> Sequence[str]:
    return [line.rstrip("\r\n") for line in read_lines(path)]


def _lengths(place: Path) -> Sequence[int]:
    """Return the number of sentences of each document from `DOCUMENT_IDS.tsv`, beside the files or one folder up."""
    for folder in (place, place.parent, place / "NTREX-128"):
        listed = folder / "DOCUMENT_IDS.tsv"
        if listed.is_file():
            ids = [line.strip() for line in read_lines(listed) if line.strip()]
            return [len(list(same)) for _, same in groupby(ids)]
    return LENGTHS


def _of_hub(code: str) -> Sequence[str]:
    import datasets  # noqa: PLC0415 - heavy, and only who has no copy needs it
    import langcodes  # noqa: PLC0415

    script = langcodes.Language.get(tag_of(code)).maximize().script
    config = f"{code[:3]}_{'Hang' if script == 'Kore' else script}"
    try:
        loaded = datasets.load_dataset(HUB, config, split="test")
    except (OSError, ValueError, RuntimeError, ImportError, LookupError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UnreachableError(
            f"corpus ntrex: {HUB} ({config}) cannot be fetched from the hub ({reason}); expected "
            f"--corpus ntrex:FOLDER or {FOLDER_VARIABLE}=FOLDER with a copy of the repository MicrosoftTranslator/NTREX"
        ) from error
    return [str(text) for text in loaded["text"]]
