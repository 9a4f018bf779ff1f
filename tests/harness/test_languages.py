"""Languages: one spelling for each, whatever the field calls it."""

import pytest

from nharness.errors import UnknownNameError, UsageError
from nharness.languages import choose_languages, display_name, match, parse_language, parse_languages, script


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("en", "en"),
        ("EN", "en"),
        ("eng", "en"),
        ("English", "en"),
        ("eng_Latn", "en"),
        ("zh", "zh"),
        ("zho_Hans", "zh"),
        ("cmn", "zh"),
        ("Chinese", "zh"),
        ("zh-Hans", "zh"),
        ("zho_Hant", "zh-Hant"),
        ("hin_Deva", "hi"),
        ("hin_Latn", "hi-Latn"),
        ("swh_Latn", "sw"),
        ("arb", "ar"),
        ("pt-BR", "pt-BR"),
        ("pt_br", "pt-BR"),
        ("jpn_Jpan", "ja"),
        ("kor_Hang", "ko"),
        ("srp_Cyrl", "sr"),
        ("uzn_Latn", "uz"),
        ("quy", "quy"),
        ("ind", "id"),
        ("Deutsch", "de"),
        ("deutsch", "de"),
        ("中文", "zh"),
        ("русский", "ru"),
        ("Tiếng Việt", "vi"),
        ("Farsi", "fa"),
        ("aka_Latn", "ak"),
        ("twi_Latn", "tw"),
        ("Twi", "tw"),
        ("fat", "fat"),
        ("sr-Cyrl", "sr"),
        ("srp-Latn", "sr-Latn"),
        ("und-x-a", "und-x-a"),
    ],
)
def test_aliases(text, tag):
    assert parse_language(text) == tag
    assert parse_language(tag) == tag


@pytest.mark.parametrize("text", ["", "xx", "klingonic", "e n", "english please"])
def test_what_is_no_language_is_refused(text):
    with pytest.raises(UnknownNameError, match="unknown language"):
        parse_language(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("Germn", "did you mean 'German' (de)?"),
        ("Deutschh", "did you mean 'Deutsch' (de)?"),
        ("Espanol", "did you mean 'español' (es)?"),
        ("lang1", "a language without a tag of its own is written und-x-NAME, as in und-x-a"),
        ("A", "written und-x-NAME"),
    ],
)
def test_an_unknown_language_is_answered_with_what_to_write(text, hint):
    with pytest.raises(UnknownNameError) as caught:
        parse_language(text)
    assert hint in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("tag", "available", "met"),
    [
        ("zh-CN", ("en", "zh"), "zh"),
        ("zh", ("en", "zh-CN"), "zh-CN"),
        ("zh-CN", ("zh", "zh-CN"), "zh-CN"),
        ("zh-TW", ("zh",), None),
        ("zh-TW", ("zh", "zh-Hant"), "zh-Hant"),
        ("pt", ("pt-BR", "pt-PT"), None),
        ("pt-BR", ("pt-PT",), None),
        ("pt-BR", ("pt", "en"), "pt"),
        ("sr", ("sr-Latn",), None),
        ("en-x-toy", ("en",), None),
        ("hi-Latn", ("hi",), None),
    ],
)
def test_a_region_that_one_side_leaves_out_is_met(tag, available, met):
    assert match(tag, available) == met


def test_script_of_a_tag():
    assert [script(tag) for tag in ("ru", "hi-Latn", "sr", "sr-Latn", "zh", "zh-Hant")] == [
        "Cyrl", "Latn", "Cyrl", "Latn", "Hans", "Hant",
    ]  # fmt: skip


def test_lists_keep_order_and_refuse_one_language_twice():
    assert parse_languages("de, en,zho_Hans") == ("de", "en", "zh")
    with pytest.raises(UsageError, match="'zh' is named more than once"):
        parse_languages("zh,en,cmn")
    with pytest.raises(UsageError, match="no language"):
        parse_languages(" , ")


def test_choice_among_what_there_is():
    assert choose_languages((), ("en", "de"), where="x") == ("en", "de")
    assert choose_languages(("German",), ("en", "de"), where="x") == ("de",)
    assert choose_languages(("zh", "pt"), ("zh-CN", "pt"), where="x") == ("zh-CN", "pt")
    with pytest.raises(UsageError, match="two of them mean 'zh'"):
        choose_languages(("zh", "zh-CN"), ("en", "zh"), where="x")
    with pytest.raises(UnknownNameError, match="unknown language of corpus 'c' 'fr'"):
        choose_languages(("fr",), ("en", "de"), where="corpus 'c'")


def test_names_for_people():
    assert display_name("zh") == "Chinese"
