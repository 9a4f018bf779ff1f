"""The reader of corpora and tasks' data: no cell is lost or cut, what is unclear is refused, nothing grows unbounded."""

import gzip
import json
import random
import tracemalloc

import pyarrow as pa
import pytest
from pyarrow import parquet

from nharness.corpora import opening, rows, separated
from nharness.corpora.rows import read_rows
from nharness.errors import CorpusError, FileFormatError

EXCEL = 'id\ttext\n1\t"He said ""yes"", and left"\n2\tplain\n3\t"two\nlines"\n'


def texts(path, content, **how):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [row["text"] for _, row in read_rows(path, **how)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.csv",
            "id,text\n1,Hello, world\n",
            'a.csv line 2: 3 cells under 2 columns (id, text); enclose a text that holds a comma in quotation marks: "Hello',
        ),
        (
            "a.csv",
            "id,text\n1,one\n2\n",
            "a.csv line 3: 1 cell under 2 columns (id, text); write an empty cell as nothing",
        ),
        ("a.csv", "text,id,text\na,1,b\n", "a.csv line 1: two columns are named 'text'"),
        ("a.csv", 'id,text\n1,"open\n2,x\n', "a.csv line 2: a cell whose quotation marks do not close"),
        ("a.csv", 'id,text\n1,"one" two\n', "a.csv line 2: a cell whose quotation marks do not close where it ends"),
        ("a.csv", "id;text\n1;one\n", "a.csv line 1: one column 'id;text'; expected columns with a comma between"),
        ("a.tsv", "id\ttext\n1\tone\ttwo\n", "a.tsv line 2: 3 cells under 2 columns (id, text); write JSON Lines"),
        ("a.tsv", "id\ttext\n1\n", "a.tsv line 2: 1 cell under 2 columns"),
        ("a.tsv", "text\ttext\n1\t2\n", "a.tsv line 1: two columns are named 'text'"),
        ("a.tsv", 'id\ttext\n1\t"Hello, world."\n', "a.tsv line 2: a cell with quotation marks, which may be"),
        ("a.jsonl", '{"text": "a", "text": "b"}', "a.jsonl line 1: 'text' occurs twice in one object"),
        ("a.json", '{"text": "cut', "a.json line 1: damaged JSON"),
    ],
)
def test_ragged_and_ambiguous_tables_are_one_error_with_file_and_line(tmp_path, name, content, message):
    with pytest.raises(FileFormatError) as caught:
        texts(tmp_path / name, content)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (EXCEL, ['He said "yes", and left', "plain", "two\nlines"]),
        (EXCEL.replace("\n3", "\r\n3"), ['He said "yes", and left', "plain", "two\nlines"]),
        ('id\ttext\n1\t"Hello," he said.\n', ['"Hello," he said.']),
        ('id\ttext\n1\t"Yes"\n2\tan 8" disc\n', ['"Yes"', 'an 8" disc']),
        ('id\ttext\n1\t"Hello, world."\n2\tone, two\n', ['"Hello, world."', "one, two"]),
        ('"id"\t"text"\n"1"\t"Yes"\n', ["Yes"]),
        ('id\ttext\n1\t"a, b"\n2\t"c, d"\n3\t"e, f"\n', ["a, b", "c, d", "e, f"]),
        ("id\ttext\n1\t\n", [""]),
    ],
)
def test_quotation_marks_in_a_tsv_are_the_tables_or_the_texts(tmp_path, content, expected):
    assert texts(tmp_path / "a.tsv", content) == expected


def test_csv_cells_keep_line_ends_commas_and_marks(tmp_path):
    content = 'id,text\n1,"a, b"\n2,"say ""yes"""\n\n3,"two\nlines"\n4,\n'
    assert texts(tmp_path / "a.csv", content) == ["a, b", 'say "yes"', "two\nlines", ""]
    assert [where.rpartition(" ")[2] for where, _ in read_rows(tmp_path / "a.csv")] == ["2", "3", "5", "7"]


def test_a_table_without_a_header(tmp_path):
    (tmp_path / "a.tsv").write_text("one\t1\ntwo\t2\n")
    assert [row for _, row in read_rows(tmp_path / "a.tsv", header=False)] == [
        {"0": "one", "1": "1"},
        {"0": "two", "1": "2"},
    ]


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\n \n\t\n"])
@pytest.mark.parametrize("start", ["", "\n\n"])
def test_empty_lines_around_a_text_do_not_change_how_it_is_cut(tmp_path, start, end):
    assert texts(tmp_path / "a.txt", f"{start}one\ntwo\nthree{end}") == ["one", "two", "three"]
    assert texts(tmp_path / "a.txt", f"{start}one\ntwo\n\nthree{end}") == ["one\ntwo", "three"]


@pytest.mark.parametrize(
    "content",
    [
        '[{"text": "a"}, {"text": "b"}]',
        '{"data": [{"text": "a"}, {"text": "b"}]}',
        '{"text": "a"}\n{"text": "b"}\n',
        '[\n {"text":\n "a"},\n {"text": "b"}]',
    ],
)
def test_json_in_every_form(tmp_path, content):
    assert texts(tmp_path / "a.json", content) == ["a", "b"]


def test_a_line_beyond_bounds_is_refused_before_it_is_read_whole(tmp_path, monkeypatch):
    for module in (opening, rows, separated):
        monkeypatch.setattr(module, "LONGEST", 1000)
    with pytest.raises(FileFormatError, match=r"a.jsonl line 2: longer than 1,000 characters"):
        texts(tmp_path / "a.jsonl", '{"text": "a"}\n' + json.dumps({"text": "x" * 2000}))
    with pytest.raises(FileFormatError, match=r"a.txt line 3: a paragraph of more than 1,000 characters"):
        texts(tmp_path / "a.txt", "one\n\n" + "word word\n" * 200)
    with pytest.raises(FileFormatError, match=r"a.csv line 2"):
        texts(tmp_path / "a.csv", 'text\n"' + "line\n" * 400 + '"\n')
    monkeypatch.setattr(opening, "LARGEST_WHOLE", 5000)
    with pytest.raises(FileFormatError, match=r"more than 5,000 characters of JSON in one value; expected JSON Lines"):
        texts(tmp_path / "a.json", json.dumps([{"text": "x"}] * 1000))


def test_an_archive_that_expands_without_end_is_refused_where_it_begins_to(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "NO_BOMB", 1 << 20)
    rows_packed, refused = b'{"text": "x"}\n' * 100_000, r"its first [\d,]+ bytes unpack to more than 100 times as many"
    with pytest.raises(FileFormatError, match=f"a.jsonl.gz: {refused}"):
        texts(tmp_path / "a.jsonl.gz", gzip.compress(rows_packed))
    padded = gzip.compress(rows_packed) * 20 + gzip.compress(random.Random(0).randbytes(1 << 20))  # sound as a whole
    with pytest.raises(FileFormatError, match=f"a.jsonl.gz: {refused}"):
        texts(tmp_path / "a.jsonl.gz", padded)
    with pytest.raises(FileFormatError, match=f"a.txt.gz: {refused}"):
        texts(tmp_path / "a.txt.gz", gzip.compress(b"\n" * (1 << 22)))
    monkeypatch.setattr(opening, "LONGEST", 1 << 16)
    with pytest.raises(FileFormatError, match="line 1: longer than"):
        texts(tmp_path / "b.jsonl.gz", gzip.compress(b"\0" * (1 << 24)))


def test_a_text_that_a_parquet_file_refers_to_without_end_is_refused(tmp_path):
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 5000), pa.array(["word " * (1 << 20)]))
    parquet.write_table(pa.table({"text": text}), tmp_path / "en.parquet", compression="zstd")
    tracemalloc.start()
    with pytest.raises(FileFormatError, match=r"en.parquet: its first [\d,]+ bytes unpack to more than 100 times"):
        list(read_rows(tmp_path / "en.parquet"))
    assert tracemalloc.get_traced_memory()[1] < 100 << 20  # of 25 GB
    tracemalloc.stop()
    parquet.write_table(pa.table({"text": pa.nulls(1 << 25, pa.string())}), tmp_path / "de.parquet")
    with pytest.raises(FileFormatError, match=r"de.parquet: its first"):
        list(read_rows(tmp_path / "de.parquet"))


def test_a_text_that_stands_in_many_rows_of_a_parquet_file_is_read_in_each(tmp_path):
    written = [{"text": text, "n": n} for n, text in enumerate(["one", None, "two", "one"] * 3)]
    parquet.write_table(pa.Table.from_pylist(written), tmp_path / "en.parquet")
    assert [row for _, row in read_rows(tmp_path / "en.parquet")] == written


def test_a_table_of_more_columns_than_text_has_is_refused(tmp_path):
    header = "\t".join(f"column{n}" for n in range(200_000))
    with pytest.raises(FileFormatError, match="200,000 columns; expected a table of text, of at most 10,000"):
        texts(tmp_path / "a.tsv", f"{header}\n{header}\n")


def test_a_name_that_comes_twice_among_very_many_is_found_at_once(tmp_path):
    names = ", ".join(f'"n{n}": 1' for n in range(200_000))
    with pytest.raises(FileFormatError, match="'n199999' occurs twice in one object"):
        texts(tmp_path / "a.jsonl", f'{{{names}, "n199999": 2}}')


def test_only_regular_files_are_read(tmp_path):
    (tmp_path / "a.jsonl").symlink_to("/dev/zero")
    with pytest.raises(CorpusError, match="not a regular text file"):
        list(read_rows(tmp_path / "a.jsonl"))
