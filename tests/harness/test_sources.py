"""Digests follow the source, not the version, the place or the order of files."""

import importlib
import sys

import pytest

import nharness_detectors.lape
from nharness.sources import engine_digest, package_digest, source_digest


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
