"""Scripts are told by letters; output counts as in a language only in the language's script."""

import pytest

from nharness.evaluation.identification import Identified
from nharness.evaluation.output_language import Outputs
from nharness.evaluation.scripts import script_of, serves

from .test_output_language import written


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("मैं घर जा रहा हूँ।", "Deva"),
        ("main ghar ja raha hoon", "Latn"),
        ("Ово је реченица.", "Cyrl"),
        ("これは日本語の文章です", "Jpan"),
        ("日本国憲法", "Hani"),
        ("한국어 文章 입니다", "Kore"),
        ("ＡＢ ｶﾀﾅ", "Jpan"),
        ("123 !", ""),
    ],
)
def test_the_script_of_most_letters(text, script):
    assert script_of(text) == script


def test_what_a_language_may_be_written_in():
    assert serves("Hani", "Hant")
    assert serves("Hani", "Jpan")
    assert serves("", "Latn")
    assert serves("Latn", "Zzzz")
    assert not serves("Latn", "Deva")


class Says:
    name = "always the same"

    def __init__(self, language, confidence=0.9):
        self.verdict = Identified(language, confidence)

    def identify(self, text):
        return self.verdict


@pytest.mark.parametrize(
    ("taken", "asked", "text", "inside", "named"),
    [
        ("hi", "hi-Latn", "मैं घर जा रहा हूँ और वह भी", 0, "hi"),
        ("hi", "hi-Latn", "main ghar ja raha hoon", 1, "hi-Latn"),
        ("hi", "hi", "main ghar ja raha hoon", 0, "hi-Latn"),
        ("sr", "sr-Latn", "Ово је једна реченица.", 0, "sr"),
        ("sr", "sr-Latn", "Ovo je jedna rečenica.", 1, "sr-Latn"),
        ("zh", "zh-Hant", "这是一个句子", 1, "zh-Hant"),
        ("ja", "ja", "日本国憲法第九条条文", 1, "ja"),
        ("pt", "pt-BR", "Isto é uma frase.", 1, "pt-BR"),
    ],
)
def test_a_text_is_in_a_language_only_in_its_script(taken, asked, text, inside, named):
    outputs = Outputs((written(text),), Says(taken), Says(taken))
    (item,) = outputs.judged("in_language", asked)
    assert (item.values["in_language"], item.text) == (inside, text)
    assert {f"language_{named}", f"second_{named}"} <= set(item.values)
    assert outputs.judged("lines_in_language", asked)[0].values["lines_in_language"] == inside


def test_a_hit_that_was_hardly_recognised_says_so():
    unsure, sure = (Outputs((written("RemoSubs(s(signs"),), Says("en", c)) for c in (0.14, 0.6))
    assert unsure.judged("in_language", "en")[0].values["low_confidence"] == 1
    assert "low_confidence" not in unsure.judged("in_language", "de")[0].values  # no hit
    assert "low_confidence" not in sure.judged("in_language", "en")[0].values
