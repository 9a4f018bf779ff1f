"""Two commits in turn: each is first every other time, a ratio is after / before, and every piece of work runs."""

import importlib
from pathlib import Path

import pytest


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parent))
    return importlib.import_module


def test_two_take_turns(bench):
    called = []

    def of(name, seconds):
        def run():
            called.append(name)
            return seconds

        return run

    ratios = bench("compare_commits").in_turn(of("before", 2.0), of("after", 3.0), 3)
    assert called == ["before", "after", "after", "before", "before", "after"]
    assert ratios == [1.5, 1.5, 1.5]


def test_the_table_gives_median_and_range(bench):
    assert bench("compare_commits").table({"some work": [1.1, 0.9, 1.0]})[2:] == [
        "| some work | **1.000** | 0.900-1.100 |"
    ]


def test_every_piece_of_work_runs(bench):
    model = bench("llamas").random_llama("tiny", bench("torch").float32, "cpu")
    known = bench("workloads").workloads(model, 2, 8)
    assert len(known) == 6
    for run in known.values():
        run()
