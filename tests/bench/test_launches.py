"""Counting launches: views are none, and the same text is read however it is cut."""

import importlib
from pathlib import Path

import pytest
import torch


@pytest.fixture
def launches(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parent))
    return importlib.import_module("bench_launches")


def test_views_are_not_counted(launches):
    values = torch.randn(3, 4)
    with launches.Counting() as counting:
        torch.relu(values).view(-1)[2:].unsqueeze(0).sum()
    assert counting.launches == 2


def test_joined_languages_are_the_same_text_in_fewer_passes(launches):
    found = launches.compare(layers=2, languages=4, tokens=300)
    deeper = launches.compare(layers=3, languages=4, tokens=300)["joined"]
    apart, joined = found["apart"], found["joined"]
    assert apart.tokens == joined.tokens >= 4 * 300
    assert apart.passes == 4 > joined.passes
    assert apart.launches > joined.launches
    assert 20 < (deeper.launches - joined.launches) / joined.passes < 60
