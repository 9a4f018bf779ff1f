"""NTREX-128 as a corpus: from the public layout, a bare folder or the hub; parallel excerpts, split by news document."""

from pathlib import Path

import datasets
import pytest

from nharness.corpora import load_corpus
from nharness.errors import CorpusError, FileFormatError, UnknownNameError, UsageError
from nharness_tasks.corpora import ntrex

SHARED = Path(__file__).parents[2] / "../shared/data/ntrex"
CODES = ("arb", "deu", "srp-Cyrl", "srp-Latn", "zho-CN")
LENGTHS = (5, 3, 9, 1, 4, 2)


@pytest.fixture
def folder(tmp_path):
    return written(tmp_path / "NTREX")


def written(root):
    """A small copy in the layout of the public repository."""
    (root / "NTREX-128").mkdir(parents=True)
    ids = [f"paper.{number}" for number, length in enumerate(LENGTHS) for _ in range(length)]
    (root / "DOCUMENT_IDS.tsv").write_text("".join(f"{name}\n" for name in ids))
    for code in (*CODES, "eng"):
        lines = "".join(f"{code} sentence {number}\n" for number in range(sum(LENGTHS)))
        (root / "NTREX-128" / f"newstest2019-{'src' if code == 'eng' else 'ref'}.{code}.txt").write_text(lines)
    return root


def documents(corpus, tag):
    return {split: list(corpus.documents(tag, split)) for split in ("detect", "eval")}


def test_excerpts_are_parallel_and_clusters_are_news_documents(folder):
    corpus = load_corpus(f"ntrex:{folder}", named={"ntrex": ntrex.corpus})
    assert set(corpus.languages) == {"en", "de", "ar", "sr", "sr-Latn", "zh"}
    english, german = documents(corpus, "en"), documents(corpus, "de")
    for split, found in english.items():
        assert [d.id for d in found] == [d.id for d in german[split]]
        assert [d.text.replace("eng", "deu") for d in found] == [d.text for d in german[split]]
        assert all(d.text.count("\n") < ntrex.SENTENCES for d in found)
    clusters = {split: {d.cluster for d in found} for split, found in english.items()}
    assert {split: len(found) for split, found in clusters.items()} == {"detect": 3, "eval": 3}
    assert not clusters["detect"] & clusters["eval"]
    assert all(len({d.cluster for d in found[:3]}) == 3 for found in english.values())
    every = [line for found in english.values() for d in found for line in d.text.split("\n")]
    assert sorted(every, key=lambda line: int(line.split()[-1])) == [f"eng sentence {n}" for n in range(24)]


def test_the_folder_itself_and_the_variable(folder, monkeypatch):
    whole = ntrex.corpus(folder).fingerprint
    assert ntrex.corpus(folder / "NTREX-128").fingerprint == whole
    monkeypatch.setenv(ntrex.FOLDER_VARIABLE, str(folder))
    assert load_corpus("ntrex", named={"ntrex": ntrex.corpus}).fingerprint == whole
    two = load_corpus("ntrex", named={"ntrex": ntrex.corpus}, languages=["German", "zh-CN"])
    assert two.languages == ("de", "zh")


def test_only_a_corpus_that_takes_a_folder_is_given_one(folder):
    with pytest.raises(UsageError, match="corpus mine has its own text and takes no folder"):
        load_corpus(f"mine:{folder}", named={"mine": folder})
    with pytest.raises(UsageError, match="this corpus takes no folder"):
        load_corpus(f"mine:{folder}", named={"mine": lambda: ntrex.corpus(folder)})


def test_what_is_no_copy(folder, tmp_path):
    with pytest.raises(CorpusError, match=r"not a copy of NTREX; expected files such as newstest2019-ref.deu.txt"):
        ntrex.corpus(tmp_path)
    with pytest.raises(UnknownNameError, match="unknown language of corpus 'ntrex' 'fr'"):
        ntrex.corpus(folder, ["fr"])
    (folder / "NTREX-128/newstest2019-ref.deu.txt").write_text("only one\n")
    with pytest.raises(FileFormatError, match="NTREX deu: 1 lines, expected 24"):
        list(ntrex.corpus(folder).documents("de", "eval"))


def test_the_hub_is_asked_for_one_language_at_a_time(monkeypatch):
    asked = []

    def load(name, config, split):
        asked.append((name, config, split))
        return {"text": [f"{config} {number}" for number in range(ntrex.LINES)]}

    monkeypatch.setattr(datasets, "load_dataset", load)
    corpus = ntrex.corpus(languages=["ko", "zh", "sr-Latn"])
    assert corpus.languages == ("ko", "zh", "sr-Latn")
    assert {d.text.split()[0] for d in corpus.documents("ko", "eval")} == {"kor_Hang"}
    assert next(corpus.documents("zh", "detect")).text.startswith("zho_Hans")
    assert list(corpus.documents("ko", "detect"))
    assert asked == [("davidstap/NTREX", config, "test") for config in ("kor_Hang", "zho_Hans")]

    def fail(name, config, split):
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(
        CorpusError, match=r"cannot be fetched from the hub \(no network\); expected --corpus ntrex:FOLDER"
    ):
        list(ntrex.corpus(languages=["de"]).documents("de", "eval"))


def test_every_code_is_a_language_of_its_own():
    tags = [ntrex.tag_of(code) for code in ntrex._CODES.split()]
    assert len(set(tags)) == len(tags) == 130
    assert {"sr", "sr-Latn", "zh", "zh-Hant", "en", "pt-BR"} <= set(tags)
    assert (len(ntrex.LENGTHS), sum(ntrex.LENGTHS)) == (123, ntrex.LINES)


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the benchmark text beside the checkout")
def test_the_real_text():
    corpus = ntrex.corpus(SHARED)
    assert len(corpus.languages) == 27
    assert ntrex._lengths(SHARED) == list(ntrex.LENGTHS)
    found = {tag: documents(corpus, tag) for tag in ("en", "sr", "sr-Latn", "th", "zh")}
    for split, clusters in (("detect", 62), ("eval", 61)):
        assert {len({d.cluster for d in each[split]}) for each in found.values()} == {clusters}
        assert len({tuple(d.id for d in each[split]) for each in found.values()}) == 1
    assert (
        "Вел" in next(iter(found["sr"]["detect"])).text
        or found["sr"]["detect"][0].text != found["sr-Latn"]["detect"][0].text
    )
