"""Local corpora of every file kind, and one clear sentence for each that is damaged."""

import csv
import gzip
import hashlib
import json
from pathlib import Path

import pytest

from nharness.corpora import Columns, load_corpus, overlap
from nharness.errors import CorpusError, FileFormatError, UnknownNameError, UsageError

TEXTS = {
    "en": ["one text", 'a "quoted", second\ttext', "third"],
    "zh": ["第一", "第二", "第三"],
    "de": ["eins", "zwei", "drei"],
}
XCOPA = Path(__file__).parents[3] / "../shared/data/xcopa"


def texts(corpus, language, split):
    return [document.text for document in corpus.documents(language, split)]


def both(corpus, language):
    """All texts of a language: on neither side twice."""
    sides = {split: list(corpus.readers[split][language]()) for split in ("detect", "eval")}
    assert not {d.id for d in sides["detect"]} & {d.id for d in sides["eval"]}
    return sorted(d.text for side in sides.values() for d in side)


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if kind == ".jsonl":
        path.write_text(lines)
    elif kind.endswith(".gz"):
        path.write_bytes(gzip.compress(lines.encode()))
    elif kind == ".json":
        path.write_text(json.dumps(rows, indent=2))
    elif kind == ".txt":
        path.write_text("\n".join(row["text"] for row in rows) + "\n")
    elif kind == ".csv":
        with path.open("w", newline="") as handle:
            writer = csv.DictWriter(handle, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif kind == ".tsv":
        path.write_text("\n".join(["\t".join(rows[0]), *("\t".join(map(str, row.values())) for row in rows)]))
    elif kind == ".parquet":
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.Table.from_pylist(rows), path)


@pytest.mark.parametrize("kind", [".jsonl", ".jsonl.gz", ".json", ".csv", ".parquet", ".txt"])
def test_every_kind_of_file_by_language_and_split(tmp_path, kind):
    for split in ("train", "test"):
        for language, rows in TEXTS.items():
            write(tmp_path / split / f"{language}{kind}", [{"text": f"{text} {split}", "n": 1} for text in rows])
    corpus = load_corpus(tmp_path)
    assert corpus.splits == ("detect", "eval")
    assert corpus.languages == ("de", "en", "zh")
    assert texts(corpus, "zh", "detect") == [f"{text} train" for text in TEXTS["zh"]]
    assert texts(corpus, "en", "eval") == [f"{text} test" for text in TEXTS["en"]]


def test_tab_separated_values_keep_quotes(tmp_path):
    write(tmp_path / "mgsm_de.tsv", [{"text": 'sagt "ja', "answer": 3}, {"text": "nein", "answer": 4}])
    assert both(load_corpus(tmp_path), "de") == ["nein", 'sagt "ja']


@pytest.mark.parametrize("kind", [".jsonl", ".csv", ".parquet"])
def test_a_language_column_in_one_file(tmp_path, kind):
    rows = [
        {"text": text, "lang": tag, "id": f"{tag}{n}"}
        for n in range(3)
        for tag, found in {"eng_Latn": TEXTS["en"], "Chinese": TEXTS["zh"]}.items()
        for text in [found[n]]
    ]
    write(tmp_path / f"everything{kind}", rows)
    corpus = load_corpus(tmp_path / f"everything{kind}")
    assert set(corpus.languages) == {"en", "zh"}
    assert both(corpus, "zh") == sorted(TEXTS["zh"])


def test_an_undivided_corpus_is_divided_by_source_alike_in_all_languages(tmp_path):
    for language in TEXTS:
        write(
            tmp_path / f"{language}.jsonl",
            [{"id": f"{n}", "text": f"{language} {n}", "source": f"page {n // 4}"} for n in range(200)],
        )
    corpus = load_corpus(tmp_path)
    sides = {split: {tag: list(corpus.documents(tag, split)) for tag in TEXTS} for split in corpus.splits}
    for side in sides.values():
        assert len({tuple(d.id for d in found) for found in side.values()}) == 1
        assert 60 < len(side["en"]) < 140
    assert not {d.source for d in sides["detect"]["en"]} & {d.source for d in sides["eval"]["en"]}


def test_rows_of_parallel_files_without_ids_share_theirs(tmp_path):
    for language, rows in TEXTS.items():
        write(tmp_path / "detect" / f"{language}.jsonl", [{"text": text} for text in rows])
    corpus = load_corpus(tmp_path)
    chosen = {tag: [d.id for d in corpus.readers["detect"][tag]()] for tag in TEXTS}
    assert chosen["en"] == chosen["zh"] == chosen["de"]


def test_splits_by_choice(tmp_path):
    for split in ("train", "dev", "test", "gold"):
        write(tmp_path / f"{split}.fr.jsonl", [{"text": split}])
    assert [texts(load_corpus(tmp_path), "fr", s) for s in ("detect", "eval")] == [["train"], ["test"]]
    chosen = load_corpus(tmp_path, splits={"eval": "gold", "detect": "dev"})
    assert [texts(chosen, "fr", s) for s in ("detect", "eval")] == [["dev"], ["gold"]]
    with pytest.raises(UnknownNameError, match="'tset'; did you mean 'test'"):
        load_corpus(tmp_path, splits={"eval": "tset"})


def own_layout(folder):
    hashes = {}
    for split in ("detect", "eval"):
        for language, rows in TEXTS.items():
            path = folder / split / f"{language}.jsonl.gz"
            write(
                path, [{"id": f"{split}{n}", "text": f"{text} {split}", "source": "s"} for n, text in enumerate(rows)]
            )
            hashes[f"{split}/{language}.jsonl.gz"] = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest = {"name": "three", "version": "1", "languages": ["zh", "en", "de"], "sha256": hashes}
    (folder / "corpus.json").write_text(json.dumps(manifest))
    return folder


def test_the_own_layout_keeps_name_order_and_sources(tmp_path):
    corpus = load_corpus("mine", named={"mine": own_layout(tmp_path)})
    assert (corpus.name, corpus.languages) == ("three", ("zh", "en", "de"))
    first = next(corpus.documents("zh", "eval"))
    assert (first.id, first.text, first.source, first.cluster) == ("eval0", "第一 eval", "s", "s")


def test_the_fingerprint_is_of_the_content_not_of_its_storage(tmp_path):
    packed = load_corpus(own_layout(tmp_path / "a"))
    for path in (tmp_path / "a").rglob("*.gz"):
        target = tmp_path / "b" / path.relative_to(tmp_path / "a").with_suffix("")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(gzip.decompress(path.read_bytes()))
    plain = load_corpus(tmp_path / "b")
    assert packed.fingerprint == plain.fingerprint
    with (tmp_path / "b/eval/de.jsonl").open("a") as handle:
        handle.write('{"text": "more"}\n')
    assert load_corpus(tmp_path / "b").fingerprint != plain.fingerprint


def test_changed_and_missing_files_of_the_own_layout(tmp_path):
    own_layout(tmp_path)
    (tmp_path / "eval/de.jsonl.gz").write_bytes(gzip.compress(b'{"text": "other"}\n'))
    with pytest.raises(FileFormatError, match=r"de.jsonl.gz: its SHA-256"):
        load_corpus(tmp_path)
    (tmp_path / "eval/de.jsonl.gz").unlink()
    with pytest.raises(FileFormatError, match=r"de.jsonl.gz: no such file"):
        load_corpus(tmp_path)


def test_damage_names_file_and_line(tmp_path):
    (tmp_path / "en.jsonl").write_text('{"text": "fine"}\n{"text": "cut\n')
    with pytest.raises(FileFormatError, match=r"en.jsonl line 2: damaged JSON"):
        both(load_corpus(tmp_path), "en")
    (tmp_path / "en.jsonl").write_text('["text"]\n')
    with pytest.raises(FileFormatError, match="line 1: a list, expected named columns"):
        both(load_corpus(tmp_path), "en")
    (tmp_path / "en.jsonl").write_bytes(b'{"text": "\xff"}\n')
    with pytest.raises(FileFormatError, match="not UTF-8"):
        both(load_corpus(tmp_path), "en")


def test_a_truncated_archive_names_the_last_good_line(tmp_path):
    import random

    words = random.Random(0)
    rows = "".join(json.dumps({"text": f"{words.random()}"}) + "\n" for _ in range(5000)).encode()
    (tmp_path / "en.jsonl.gz").write_bytes(gzip.compress(rows)[:-2000])
    with pytest.raises(FileFormatError, match=r"en.jsonl.gz: damaged or truncated gzip file after line [1-9]"):
        both(load_corpus(tmp_path), "en")
    (tmp_path / "en.jsonl.gz").write_bytes(b"no archive")
    with pytest.raises(FileFormatError, match="damaged or truncated gzip"):
        both(load_corpus(tmp_path), "en")
    (tmp_path / "en.jsonl.gz").unlink()
    (tmp_path / "en.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(FileFormatError, match=r"en.parquet: not a readable Parquet"):
        both(load_corpus(tmp_path), "en")


def test_columns_languages_and_splits_that_are_not_there(tmp_path):
    write(tmp_path / "en.jsonl", [{"txt": "a", "id": 1}])
    with pytest.raises(CorpusError, match="no column 'text'; did you mean 'txt'"):
        both(load_corpus(tmp_path), "en")
    assert both(load_corpus(tmp_path, columns=Columns(text="txt")), "en") == ["a"]
    corpus = load_corpus(tmp_path, columns=Columns(text="txt"))
    with pytest.raises(UnknownNameError, match=r"unknown language of corpus .* 'fr'"):
        corpus.documents("fr", "detect")
    with pytest.raises(UnknownNameError, match=r"unknown split .* 'evaluate'; did you mean 'eval'"):
        corpus.documents("en", "evaluate")
    write(tmp_path / "de.jsonl", [{"txt": 3}])
    with pytest.raises(CorpusError, match="column 'txt' holds 3, expected text"):
        both(load_corpus(tmp_path, columns=Columns(text="txt")), "de")


def test_an_empty_language_is_an_error_when_it_is_asked_for(tmp_path):
    write(tmp_path / "detect/en.jsonl", [{"text": "something"}])
    write(tmp_path / "detect/fr.jsonl", [{"text": "  "}, {"text": None}])
    write(tmp_path / "eval/en.jsonl", [{"text": "something"}])
    corpus = load_corpus(tmp_path)
    assert corpus.languages == ("en", "fr")
    with pytest.raises(CorpusError, match="no document of language 'fr' in split 'detect'"):
        corpus.documents("fr", "detect")


def test_a_file_whose_language_cannot_be_told(tmp_path):
    write(tmp_path / "stories.jsonl", [{"text": "a"}])
    with pytest.raises(CorpusError, match=r"expected a file such as en.jsonl, or a column"):
        load_corpus(tmp_path)
    write(tmp_path / "stories.jsonl", [{"text": "a", "language": "Qwzzk"}])
    with pytest.raises(UnknownNameError, match=r"stories.jsonl line 1: unknown language 'Qwzzk'"):
        load_corpus(tmp_path)


def test_unknown_corpora(tmp_path):
    with pytest.raises(UnknownNameError, match="'bable'; did you mean 'babel'"):
        load_corpus("bable", named={"babel": tmp_path})
    with pytest.raises(UnknownNameError, match=r"unknown corpus .*nowhere'"):
        load_corpus(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match="no data file"):
        load_corpus(tmp_path)


def test_overlap_is_found_through_case_white_space_and_width(tmp_path):
    write(tmp_path / "detect/en.jsonl", [{"id": "a", "text": "The  Same\ntext"}, {"id": "b", "text": "another"}])
    write(tmp_path / "eval/en.jsonl", [{"id": "x", "text": "new"}, {"id": "y", "text": "the same ｔｅｘｔ"}])
    corpus = load_corpus(tmp_path)
    assert overlap(corpus.documents("en", "detect"), corpus.documents("en", "eval")) == ("y",)


@pytest.mark.skipif(not XCOPA.is_dir(), reason="needs the benchmark text beside the checkout")
def test_real_files_with_split_and_language_in_their_names():
    corpus = load_corpus(XCOPA, columns=Columns(text="premise", id="idx"))
    assert set(corpus.languages) == {"et", "ht", "id", "it", "qu", "sw", "ta", "th", "tr", "vi", "zh"}
    for language in corpus.languages:
        assert len(texts(corpus, language, "detect")) == 100
        assert len(texts(corpus, language, "eval")) == 500


GOOD = "\n".join(json.dumps({"id": f"d{number}", "text": f"hello {number}"}) for number in range(6))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("en.jsonl", b'{"text": "a\\ud800b"}', "en.jsonl line 1: the text holds '\\ud800', half of a surrogate pair"),
        (
            "en.jsonl",
            b'{"id": "\\udfff", "text": "a"}',
            "en.jsonl line 1: the id holds '\\udfff', half of a surrogate pair",
        ),
        ("en.jsonl", b'{"text": "a", "prompt": "\\udfff"}', "en.jsonl line 1: the prompt holds '\\udfff', half"),
        ("en.jsonl", f"{GOOD}\n{GOOD}".encode(), "en.jsonl line 7: id 'd0' is repeated in language 'en'"),
        ("en.jsonl", b'{"txt": "a"}', "en.jsonl line 1: no column 'text'; did you mean 'txt'?"),
        ("en.jsonl", b'{"text": 5}', "en.jsonl line 1: column 'text' holds 5, expected text"),
        ("en.jsonl", b'{"text": ' + b"[" * 100_000, "en.jsonl line 1: JSON that cannot be read"),
        ("en.jsonl", b'\n{"id": 1' + b"0" * 5000 + b', "text": "x"}', "en.jsonl line 2: JSON that cannot be read"),
        ("en.json", b"[" * 100_000, "en.json line 1: JSON that cannot be read"),
        ("en.jsonl", bytes(range(256)), "en.jsonl: not UTF-8 text after line 0"),
        ("en.jsonl", GOOD.encode("utf-16"), "en.jsonl: not UTF-8 text after line 0"),
        ("en.txt", b"one\n\ntw\0o\n", "en.txt line 3: a NUL character, so not text"),
        ("en.jsonl.gz", b"no archive", "en.jsonl.gz: damaged or truncated gzip file"),
        ("part.jsonl", GOOD.encode(), "part.jsonl line 1: neither the name nor a column says the language"),
        ("all.jsonl", b'{"text": "a", "lang": null}', "all.jsonl line 1: no language in column 'lang'"),
        (
            "corpus.json",
            b'{"languages": "xx"}',
            "corpus.json: languages is not a list of language tags (unknown language 'xx'",
        ),
        ("corpus.json", b'{"languages": 5}', "corpus.json: languages is not a list of language tags"),
        ("corpus.json", b"[" * 100_000, "corpus.json: damaged, expected a JSON object"),
    ],
)
def test_trouble_is_told_in_one_sentence_with_its_place(tmp_path, name, content, message):
    (tmp_path / "de.jsonl").write_text(GOOD)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError) as caught:
        load_corpus(tmp_path).fingerprint  # noqa: B018 - reads all of it
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["en.jsonl", "en.jsonl.gz"])
@pytest.mark.parametrize(
    "change", [lambda text: "\ufeff" + text, lambda text: text.replace("\n", "\r\n"), lambda text: text + "\n\n"]
)
def test_marks_and_line_ends_of_other_systems_change_nothing(tmp_path, name, change):
    content = change(GOOD).encode()
    for folder, raw in (("a", GOOD.encode()), ("b", content)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(gzip.compress(raw) if name.endswith("gz") else raw)
    assert load_corpus(tmp_path / "a").fingerprint == load_corpus(tmp_path / "b").fingerprint


def test_a_file_of_all_languages_says_them_in_a_column(tmp_path):
    write(
        tmp_path / "all.jsonl",
        [{"text": f"text {number}", "lang": "en" if number % 2 else "de"} for number in range(12)],
    )
    assert set(load_corpus(tmp_path).languages) == {"de", "en"}


def test_the_same_id_in_two_languages_is_a_translation(tmp_path):
    for tag in ("en", "de"):
        (tmp_path / f"{tag}.jsonl").write_text(GOOD)
    corpus = load_corpus(tmp_path)
    assert [d.id for d in corpus.documents("en", "eval")] == [d.id for d in corpus.documents("de", "eval")]
