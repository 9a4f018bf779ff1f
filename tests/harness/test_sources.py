"""Digests follow the source, not the version, the place or the order of files."""

import importlib
import json
import sys
from pathlib import Path

import pytest

import nharness_detectors.lape
from nharness import sources
from nharness.sources import engine_digest, package_digest, released_digests, source_digest

SHIPPED = ("nharness", "nharness_detectors", "nharness_tasks", "nharness_leaderboard")


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)

    def load(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        sys.modules.pop(name, None)
        importlib.invalidate_caches()
        package_digest.cache_clear()
        return importlib.import_module(name)

    yield load
    package_digest.cache_clear()


def test_an_edited_module_has_another_digest(module):
    before = source_digest(module("plug_edited", "class A:\n    x = 1\n").A)
    after = source_digest(module("plug_edited", "class A:\n    x = 12\n").A)
    assert len(before) == len(after) == 64
    assert before != after


def test_the_same_source_has_the_same_digest_as_class_and_as_instance(module):
    found = module("plug_same", "class A:\n    pass\n\n\ndef f():\n    pass\n")
    assert source_digest(found.A) == source_digest(found.A()) == source_digest(found.f)


def test_a_package_counts_whole():
    assert source_digest(nharness_detectors.lape.Lape) == package_digest("nharness_detectors")


def test_what_was_typed_in_has_none():
    assert source_digest(3) == ""
    assert package_digest("no_such_module_anywhere") == ""


def test_the_engine_has_one():
    assert len(engine_digest()) == 64


def test_a_release_lists_the_digests_of_all_that_it_holds():
    """`python tests/harness/test_sources.py VERSION` adds the source as it stands to those of the releases."""
    for digests in released_digests().values():
        assert len(digests) == len(SHIPPED)
        assert all(len(digest) == 64 for digest in digests)
    assert len(set(shipped())) == len(SHIPPED)


def shipped():
    """Return the digests of the packages that are released together."""
    return [engine_digest(), *(package_digest(importlib.import_module(name).__name__) for name in SHIPPED[1:])]


if __name__ == "__main__":
    path = Path(sources.__file__).with_name("releases.json")
    listed = json.loads(path.read_text()) | {sys.argv[1]: sorted(shipped())}
    path.write_text(json.dumps(listed, indent=1, sort_keys=True) + "\n")
