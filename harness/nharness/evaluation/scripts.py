"""Which script a text is written in, by the Unicode names of its letters."""

from __future__ import annotations

import unicodedata
from collections import Counter

SCRIPTS = {
    "ARABIC": "Arab",
    "ARMENIAN": "Armn",
    "BENGALI": "Beng",
    "CJK": "Hani",
    "CYRILLIC": "Cyrl",
    "DEVANAGARI": "Deva",
    "ETHIOPIC": "Ethi",
    "GEORGIAN": "Geor",
    "GREEK": "Grek",
    "GUJARATI": "Gujr",
    "GURMUKHI": "Guru",
    "HANGUL": "Kore",
    "HEBREW": "Hebr",
    "HIRAGANA": "Jpan",
    "KANNADA": "Knda",
    "KATAKANA": "Jpan",
    "KHMER": "Khmr",
    "LAO": "Laoo",
    "LATIN": "Latn",
    "MALAYALAM": "Mlym",
    "MYANMAR": "Mymr",
    "ORIYA": "Orya",
    "SINHALA": "Sinh",
    "TAMIL": "Taml",
    "TELUGU": "Telu",
    "THAANA": "Thaa",
    "THAI": "Thai",
    "TIBETAN": "Tibt",
}
"""By the first word of a letter's name the code of its script."""
HAN = frozenset(("Hani", "Hans", "Hant"))
SERVES = {**dict.fromkeys(HAN, frozenset(("Hani",))), "Jpan": frozenset(("Jpan", "Hani")), "Hang": frozenset(("Kore",))}
"""What a text's script may be where a language is written in more than one, or in one that is not told apart."""


def script_of(text: str) -> str:
    """Return the script of most of a text's letters, ISO 15924; empty for none of `SCRIPTS`. Han among kana is Jpan."""
    names = (unicodedata.name(letter, "") for letter in text if letter.isalpha())
    words = (name.removeprefix("FULLWIDTH ").removeprefix("HALFWIDTH ").partition(" ")[0] for name in names)
    counts = Counter(SCRIPTS.get(word, "") for word in words)
    if counts["Jpan"]:
        counts["Jpan"] += counts.pop("Hani", 0)
    return counts.most_common(1)[0][0] if counts else ""


def serves(found: str, wanted: str) -> bool:
    """Tell whether a text's script is one that text in the script `wanted` may be in; one that is unknown is."""
    if wanted not in {*SCRIPTS.values(), *SERVES} or not found:
        return True
    return found in SERVES.get(wanted, frozenset((wanted,)))
