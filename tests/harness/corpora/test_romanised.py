"""Languages in Latin script made of their own: which are made, that they stay parallel, and that no other letter is left."""

import unicodedata
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nharness.corpora import Corpus, Document, load_corpus
from nharness.corpora.romanised import _uroman, in_latin, own_script, with_romanised
from nharness.errors import CorpusError

TEXTS = {
    "en": "The river ends in the sea.",
    "ru": "Река впадает в море.\nДа.",
    "hi": "नदी समुद्र में गिरती है।",
    "zh": "河流入海。",
    "ja": "川は海に注ぐ。µ",
    "ko": "강은 바다로 흐른다.",
    "th": "แม่น้ำไหลลงสู่ทะเล",
    "ar": "يصب النهر في البحر.",
    "el": "Ο ποταμός χύνεται στη θάλασσα.",
    "he": "הנהר נשפך לים.",
    "ta": "ஆறு கடலில் கலக்கிறது.",
    "ka": "მდინარე ზღვაში ჩადის.",
    "am": "ወንዙ ወደ ባሕር ይፈሳል።",
}


def corpus(*tags):
    readers = {tag: lambda tag=tag: [Document("river#1", TEXTS[tag], prompt=TEXTS[tag])] for tag in tags}
    return Corpus("rivers", {"detect": readers, "eval": readers})


def shout(text, language):
    return f"{language}:{len(text)}"


@pytest.mark.parametrize(("tag", "own", "latin"), [("hi-Latn", "hi", "hi-Latn"), ("zh-TW", "zh-TW", "zh-Latn-TW")])
def test_tags(tag, own, latin):
    assert own_script(tag) == own
    assert in_latin(tag) == latin


def test_every_language_in_another_script_gets_one():
    made = with_romanised(corpus("en", "ru", "hi"), (), shout)
    assert made.languages == ("en", "ru", "hi", "ru-Latn", "hi-Latn")
    (document,) = made.documents("ru-Latn", "eval")
    assert (document.id, document.cluster) == ("river#1", "river")
    assert (document.text, document.prompt) == ("ru:24", "ru:24")
    assert made.fingerprint != corpus("en", "ru", "hi").fingerprint


def test_only_what_is_asked_for_and_not_there_is_made():
    assert with_romanised(corpus("en", "ru", "hi"), ("ru", "ru-Latn"), shout).languages == ("en", "ru", "hi", "ru-Latn")
    with pytest.raises(CorpusError, match="nothing to romanise"):
        with_romanised(corpus("en", "ru"), ("en", "ru"), shout)
    with pytest.raises(CorpusError, match="nothing to romanise"):
        with_romanised(corpus("en", "de"), (), shout)


def latin(text):
    return {c for c in text if unicodedata.category(c)[0] == "L" and "LATIN" not in unicodedata.name(c)}


@pytest.mark.slow
def test_no_letter_outside_latin_remains(tmp_path):
    pytest.importorskip("uroman")
    for tag, text in TEXTS.items():
        (tmp_path / f"{tag}.txt").write_text(text)
    made = load_corpus(tmp_path, romanised=True, splits={"detect": "all"})
    found = {tag: " ".join(d.text for s in made.splits for d in made.readers[s][tag]()) for tag in made.languages}
    assert set(found) == {*TEXTS, *(f"{tag}-Latn" for tag in TEXTS if tag != "en")}
    assert [tag for tag, text in found.items() if tag.endswith("-Latn") and (latin(text) or not text.strip())] == []
    assert found["ru-Latn"].startswith("Reka vpadayet v more.")
    assert "uroman 1." in made.name

    scripts = st.characters(categories=("L", "M", "N", "P", "Zs"), max_codepoint=0x11FF)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.text(scripts, max_size=12))
    def holds(text):
        with suppress(CorpusError):  # a letter that cannot be written is named, not left
            assert latin(_uroman(text, "ru")) == set()

    holds()
