"""Languages: one spelling for each, whatever the field calls it."""

import pytest

from nharness.errors import UnknownNameError, UsageError
from nharness.languages import choose_languages, display_name, parse_language, parse_languages


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
    ],
)
def test_aliases(text, tag):
    assert parse_language(text) == tag
    assert parse_language(tag) == tag


@pytest.mark.parametrize("text", ["", "xx", "klingonic", "e n", "english please"])
def test_what_is_no_language_is_refused(text):
    with pytest.raises(UnknownNameError, match="unknown language"):
        parse_language(text)


def test_lists_keep_order_and_refuse_one_language_twice():
    assert parse_languages("de, en,zho_Hans") == ("de", "en", "zh")
    with pytest.raises(UsageError, match="'zh' is named more than once"):
        parse_languages("zh,en,cmn")
    with pytest.raises(UsageError, match="no language"):
        parse_languages(" , ")


def test_choice_among_what_there_is():
    assert choose_languages((), ("en", "de"), where="x") == ("en", "de")
    assert choose_languages(("German",), ("en", "de"), where="x") == ("de",)
    with pytest.raises(UnknownNameError, match="unknown language of corpus 'c' 'fr'"):
        choose_languages(("fr",), ("en", "de"), where="corpus 'c'")


def test_names_for_people():
    assert display_name("zh") == "Chinese"
