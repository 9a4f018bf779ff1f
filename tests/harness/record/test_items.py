"""The items file: equal bytes for equal items, every damage named with its line."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nharness.errors import FileFormatError
from nharness.record.items import COMPRESS_ABOVE, RecordedItem, parse_item, read_items, write_items

names = st.text(max_size=20)
items = st.builds(
    RecordedItem,
    task=names,
    target=st.none() | names,
    control=st.none() | st.integers(0, 99),
    language=names,
    id=names,
    cluster=names,
    values=st.dictionaries(names, st.floats(allow_nan=False, allow_infinity=False), max_size=4),
    text=st.none() | names,
)


@given(items)
def test_round_trip(item):
    line = item.line().encode("utf-8", "surrogatepass")
    assert b"\n" not in line
    assert parse_item(line, where="here") == item


def make(number, **changes):
    return RecordedItem(
        "ppl",
        None,
        None,
        "en",
        f"doc-{number}",
        f"file-{number // 3}",
        {"nll": 1.5 * number, "tokens": 3, "bytes": 9, **changes},
    )


def test_small_is_plain_large_is_compressed_and_both_read_back(tmp_path):
    few, many = [make(i) for i in range(5)], [make(i) for i in range(COMPRESS_ABOVE // 90)]
    plain, packed = write_items(tmp_path, few, stem="few"), write_items(tmp_path, many, stem="many")
    assert [plain.name, packed.name] == ["few.jsonl", "many.jsonl.gz"]
    assert list(read_items(plain)) == few
    assert list(read_items(packed)) == many
    before = packed.read_bytes()
    assert write_items(tmp_path, many, stem="many").read_bytes() == before


def test_nan_is_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_items(tmp_path, [make(1, nll=float("nan"))])


GOOD = json.loads(make(1).line())
BAD = [
    (b"{", "not JSON"),
    (b"[" * 100_000, "not JSON"),
    (b"[]", "exactly the fields"),
    (json.dumps(GOOD | {"more": 1}).encode(), "exactly the fields"),
    (json.dumps(GOOD | {"id": 3}).encode(), "'id' should be text"),
    (json.dumps(GOOD | {"target": 3}).encode(), "'target'"),
    (json.dumps(GOOD | {"control": -1}).encode(), "'control'"),
    (json.dumps(GOOD | {"control": True}).encode(), "'control'"),
    (json.dumps(GOOD | {"values": {"nll": "1"}}).encode(), "finite"),
    (json.dumps(GOOD | {"values": {"nll": True}}).encode(), "finite"),
    (
        b'{"task":"a","target":null,"control":null,"language":"en","id":"1","cluster":"1","values":{"nll":NaN}}',
        "finite",
    ),
    (
        b'{"task":"a","target":null,"control":null,"language":"en","id":"1","cluster":"1","values":{"nll":1e999}}',
        "finite",
    ),
    (
        b'{"task":"a","target":null,"control":null,"language":"en","id":"1","cluster":"1","values":{"n":1%s}}'
        % (b"0" * 400),
        "finite",
    ),
]


@pytest.mark.parametrize(("line", "words"), BAD, ids=range(len(BAD)))
def test_damage_is_named_with_its_line(tmp_path, line, words):
    path = tmp_path / "items.jsonl"
    path.write_bytes(make(0).line().encode() + b"\n" + line + b"\n")
    with pytest.raises(FileFormatError, match=r"line 2: ") as caught:
        list(read_items(path))
    assert words in str(caught.value)


def test_a_bomb_is_stopped(tmp_path):
    path = tmp_path / "items.jsonl.gz"
    path.write_bytes(gzip.compress(b" " * 50_000_000))
    with pytest.raises(FileFormatError, match="more than"):
        list(read_items(path))
    path.write_bytes(gzip.compress("".join(make(number).line() + "\n" for number in range(1000)).encode()))
    with pytest.raises(FileFormatError, match="more than"):
        list(read_items(path, max_bytes=10_000))


def test_truncated_and_absent_files(tmp_path):
    path = tmp_path / "items.jsonl.gz"
    path.write_bytes(gzip.compress(make(1).line().encode())[:-9])
    with pytest.raises(FileFormatError, match="cannot be read"):
        list(read_items(path))
    with pytest.raises(FileFormatError, match="cannot be read"):
        list(read_items(tmp_path / "none.jsonl"))
