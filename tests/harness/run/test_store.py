"""The store: what is torn or altered is not read, what is the same is."""

import os
import time

import pytest

from nharness.errors import OutputError
from nharness.run.store import Store, content_key


def whole(payload):
    return payload


def test_round_trip_and_absence(tmp_path):
    store = Store(tmp_path)
    key = content_key(a=1, b=["x", None])
    assert store.get("cells", key, whole) is None
    store.put("cells", key, {"items": [1, 2.5, "ü"]})
    assert store.get("cells", key, whole) == {"items": [1, 2.5, "ü"]}


def test_keys_change_with_anything_and_not_with_order():
    assert content_key(a=1, b=2) == content_key(b=2, a=1)
    assert len({content_key(a=1), content_key(a=2), content_key(b=1), content_key(a="1"), content_key(a=[1])}) == 5


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[:-3], lambda raw: b"", lambda raw: raw.replace(b"7", b"8"), lambda raw: raw[80:]]
)
def test_a_damaged_entry_is_absent_and_made_again(tmp_path, damage):
    store = Store(tmp_path)
    key = content_key(a=1)
    store.put("cells", key, {"value": 7.25})
    path = store.path("cells", key)
    path.write_bytes(damage(path.read_bytes()))
    assert store.get("cells", key, whole) is None
    store.put("cells", key, {"value": 7.25})
    assert store.get("cells", key, whole) == {"value": 7.25}


def test_an_entry_under_anothers_name_is_absent(tmp_path):
    """Swapped files of two cells would be two wrong numbers that nobody notices."""
    store = Store(tmp_path)
    one, two = content_key(a=1), content_key(a=2)
    store.put("cells", one, 1)
    store.put("cells", two, 2)
    first, second = (store.path("cells", key).read_bytes() for key in (one, two))
    store.path("cells", one).write_bytes(second)
    store.path("cells", two).write_bytes(first)
    assert store.get("cells", one, whole) is None
    assert store.get("cells", two, whole) is None
    store.put("answers", one, "text")
    store.path("cells", one).write_bytes(store.path("answers", one).read_bytes())
    assert store.get("cells", one, whole) is None


@pytest.mark.parametrize("payload", [None, [], {"values": 3}, "text", {"value": {}}])
def test_an_entry_of_another_shape_is_absent_and_removed(tmp_path, payload):
    store = Store(tmp_path)
    key = content_key(a=1)
    store.put("cells", key, payload)
    assert store.get("cells", key, lambda found: 1 + found["value"]) is None
    assert not store.path("cells", key).exists()


def test_unfinished_files_are_no_entries(tmp_path):
    store = Store(tmp_path)
    store.put("cells", content_key(a=1), 1)
    (store.path("cells", content_key(a=1)).parent / ".x.json.abc.part").write_bytes(b"half")
    assert len(list(store.entries())) == 1


def test_prune_takes_the_old_and_leaves_the_new(tmp_path):
    store = Store(tmp_path)
    for number in range(3):
        store.put("cells", content_key(a=number), number)
    old = store.path("cells", content_key(a=0))
    os.utime(old, (1, 1))
    assert store.prune(older_than=time.time() - 3600)[0] == 1
    assert store.get("cells", content_key(a=0), whole) is None
    assert store.get("cells", content_key(a=1), whole) == 1


@pytest.mark.skipif(os.geteuid() == 0 and not hasattr(os, "chflags"), reason="root may write anywhere")
def test_read_only_folder_says_so(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot"):
        Store(tmp_path).put("cells", content_key(a=1), 1)


def test_a_file_in_the_way_says_so(tmp_path):
    (tmp_path / "cells").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot create folder .*cells"):
        Store(tmp_path).put("cells", content_key(a=1), 1)
