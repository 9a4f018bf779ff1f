"""Questions for a model, and the task family that asks whether it answers in the language requested."""

from __future__ import annotations

import tomllib
from pathlib import Path

from nharness.task import OutputLanguageFamily

TABLE = Path(__file__).with_name("answer_language.toml")


def answer_language() -> OutputLanguageFamily:
    """Return the family: open questions in seven languages, each asking for an answer in that language."""
    with TABLE.open("rb") as file:
        table = tomllib.load(file)
    questions = {
        tag: tuple((name, f"{texts[tag]} {wish}") for name, texts in table["questions"].items())
        for tag, wish in table["wish"].items()
    }
    return OutputLanguageFamily(
        "answer_language", "Answers to open questions: share in the language asked for, fluency, repetition", questions
    )
