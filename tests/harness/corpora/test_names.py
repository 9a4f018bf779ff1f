"""What names of files mean: languages by tag or name, splits in any case, and what is refused rather than guessed."""

import json
import os

import pytest

from nharness.corpora import files, load_corpus
from nharness.corpora.names import meaning
from nharness.errors import CorpusError


def put(folder, *names, text="something"):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"text": f"{text} {name}"}) + "\n")
    return folder


@pytest.mark.parametrize(
    ("name", "split", "language"),
    [
        ("detect/en", "detect", "en"),
        ("de.raw", None, "de"),
        ("raw/de.src", None, "de"),
        ("Train/zh", "train", "zh"),
        ("Test.EN", "test", "en"),
        ("TRAINING/en", "train", "en"),
        ("heldout.fr", "test", "fr"),
        ("german.train", "train", "de"),
        ("Deutsch", None, "de"),
        ("中文/dev", "dev", "zh"),
        ("zho_Hans.dev", "dev", "zh"),
        ("flores_zho_Hant_dev", "dev", "zh-Hant"),
        ("test_pt-BR", "test", "pt-BR"),
        ("pt_BR", None, "pt-BR"),
        ("mgsm_de", None, "de"),
        ("my_texts/en", None, "en"),
        ("en-de/train.de", "train", "de"),
        ("twi_Latn", None, "tw"),
        ("aka_Latn", None, "ak"),
        ("new_Deva", None, "new"),
        ("ary_Arab", None, "ary"),
        ("hmn", None, "hmn"),
        ("swa", None, "sw"),
        ("en/train-00000-of-00002", "train", "en"),
    ],
)
def test_split_and_language(name, split, language):
    said = meaning(name)
    assert (said.split, said.language, said.doubt) == (split, language, "")


@pytest.mark.parametrize("word", ["src", "raw", "log", "new", "old", "doc", "sub", "tmp"])
def test_everyday_words_are_no_languages(word, tmp_path):
    said = meaning(f"train.{word}")
    assert said.language is None
    assert f"write {word}_" in said.doubt
    with pytest.raises(CorpusError, match=f"{word!r} in the name may be the language"):
        load_corpus(put(tmp_path, f"{word}.jsonl"))


def test_a_column_settles_what_the_name_leaves_open(tmp_path):
    (tmp_path / "new.jsonl").write_text('{"text": "a", "lang": "English"}\n{"text": "b", "lang": "German"}\n')
    assert set(load_corpus(tmp_path).languages) == {"en", "de"}


@pytest.mark.parametrize("name", ["train.en-de", "en/train.de", "test_it_en", "zh_tw"])
def test_two_languages_in_one_name(name, tmp_path):
    assert meaning(name).language is None
    with pytest.raises(CorpusError, match=r"the name has two languages, .* and .*; expected one"):
        load_corpus(put(tmp_path, f"{name}.jsonl"))


@pytest.mark.parametrize(
    "names",
    [
        ("en.jsonl", "en.jsonl.gz"),
        ("en.jsonl", "en.csv"),
        ("en.jsonl", "eng.jsonl"),
        ("de.raw.jsonl", "de.tok.jsonl"),
        ("one/en.jsonl", "two/en.jsonl"),
        ("en.jsonl", "en_copy.jsonl"),
        ("tgl_Latn.jsonl", "fil_Latn.jsonl"),
    ],
)
def test_two_files_that_may_be_one_text_are_not_added_up(names, tmp_path):
    with pytest.raises(CorpusError, match=r"are both of .*expected one file per language and split"):
        load_corpus(put(tmp_path, *names, "fr.jsonl"))


def test_pieces_that_differ_in_a_number_are_one_text(tmp_path):
    put(tmp_path, *(f"{tag}/train-0000{n}-of-00002.jsonl" for tag in ("en", "de") for n in (0, 1)))
    corpus = load_corpus(tmp_path)
    assert sum(len(list(corpus.readers[split]["en"]())) for split in corpus.splits) == 2
    (tmp_path / "de/train-00001-of-00002.jsonl").unlink()
    with pytest.raises(CorpusError, match=r"de/train-\*-of-00002.jsonl has 1 of its 2 parts"):
        load_corpus(tmp_path)


def test_splits_in_capitals_are_not_pooled(tmp_path):
    put(tmp_path, *(f"{split}/{tag}.jsonl" for split in ("Train", "Test") for tag in ("en", "de")))
    corpus = load_corpus(tmp_path)
    assert [d.text for d in corpus.documents("en", "detect")] == ["something Train/en.jsonl"]
    assert [d.text for d in corpus.documents("en", "eval")] == ["something Test/en.jsonl"]


def test_languages_that_flores_tells_apart_stay_apart(tmp_path):
    names = [f"dev/{code}.jsonl" for code in ("aka_Latn", "twi_Latn", "zho_Hans", "zho_Hant", "arb_Arab", "ary_Arab")]
    assert set(load_corpus(put(tmp_path, *names)).languages) == {"ak", "tw", "zh", "zh-Hant", "ar", "ary"}


def test_a_column_that_contradicts_the_name(tmp_path):
    (tmp_path / "en.jsonl").write_text('{"text": "a", "language": "English"}\n{"text": "b", "language": "de"}\n')
    with pytest.raises(CorpusError, match=r"en.jsonl line 2: column 'language' says 'de', the file's name en"):
        _ = load_corpus(tmp_path).fingerprint


def test_two_spellings_in_one_column(tmp_path):
    (tmp_path / "all.jsonl").write_text('{"text": "a", "lang": "zho"}\n{"text": "b", "lang": "cmn"}\n')
    with pytest.raises(CorpusError, match=r"line 2: 'cmn' and 'zho' are both language zh; expected one spelling"):
        load_corpus(tmp_path)


def test_a_file_called_corpus_or_readme_in_a_language_is_data(tmp_path):
    put(tmp_path, "corpus.en.jsonl", "corpus.de.jsonl")
    (tmp_path / "README.txt").write_text("about")
    assert load_corpus(tmp_path).languages == ("de", "en")


def test_text_cut_in_two_ways(tmp_path):
    (tmp_path / "en.txt").write_text("one\ntwo\nthree\n")
    (tmp_path / "de.txt").write_text("eins\n\ndrei\n")
    with pytest.raises(
        CorpusError, match=r"de.txt line 2: an empty line, so that paragraphs are documents, while .*en.txt"
    ):
        load_corpus(tmp_path)


def test_archives_that_are_not_read_are_named(tmp_path):
    put(tmp_path, "en.jsonl", "de.jsonl.zst")
    with pytest.raises(CorpusError, match=r"de.jsonl.zst: compressed in an unsupported way; expected de.jsonl or"):
        load_corpus(tmp_path)
    with pytest.raises(CorpusError, match=r"de.jsonl.zst: compressed in an unsupported way; expected de.jsonl or"):
        load_corpus(tmp_path / "de.jsonl.zst")


def test_folders_behind_links_are_read_and_circles_end(tmp_path):
    put(tmp_path / "elsewhere", "en.jsonl")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus/train").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "corpus/train/again").symlink_to(tmp_path / "corpus")
    assert load_corpus(tmp_path / "corpus").languages == ("en",)


def test_no_corpus_is_as_large_as_a_disk(tmp_path, monkeypatch):
    with pytest.raises(CorpusError, match=r"/: the whole file system; expected a folder"):
        load_corpus("/")
    put(tmp_path, *(f"train/en-{number}.jsonl" for number in range(30)))
    monkeypatch.setattr(files, "MOST_FILES", 20)
    with pytest.raises(CorpusError, match=r"more than 20 files; expected a folder with the files of one corpus"):
        load_corpus(tmp_path)
    with pytest.raises(CorpusError, match="neither a folder nor a file"):
        load_corpus("/dev/zero")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_is_an_error(tmp_path):
    put(tmp_path, "en.jsonl", "closed/de.jsonl")
    (tmp_path / "closed").chmod(0)
    try:
        with pytest.raises(CorpusError, match="closed: cannot be read"):
            load_corpus(tmp_path)
    finally:
        (tmp_path / "closed").chmod(0o700)


def test_a_hundred_languages(tmp_path):
    listed = (
        "af am ar az be bg bn bs ca ceb cs cy da de el en eo es et eu fa fi fil fr ga gd gl gu ha he hi hr ht hu hy id ig "
        "is it ja jv ka kk km kn ko ku ky la lb lo lt lv mg mi mk ml mn mr ms mt my nb ne nl nn ny or pa pl ps pt ro ru "
        "rw sa sd si sk sl sm sn so sq sr st su sv sw ta te tg th tk tr tt ug uk ur uz vi xh yi yo zh zu"
    )
    codes = listed.split()
    put(tmp_path, *(f"{split}/{code}.jsonl" for split in ("train", "test") for code in codes))
    assert set(load_corpus(tmp_path).languages) == set(codes)
