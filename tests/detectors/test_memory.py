"""What detection allocates beside the statistics: less than three times their size, on fewer layers than a real model's."""

import importlib.util
from pathlib import Path

import pytest

from narrowing import present
from nharness.plugins import Plugins
from nharness.testing.detector_checks import peak_bytes

PLUGINS = Plugins()
NAMES = sorted(name for name, entry in PLUGINS.entries("detectors").items() if entry.plugin == "detectors")
UNBOUNDED = {"probe"}  # scikit-learn's own


@pytest.fixture(scope="module")
def bench():
    """The benchmark, for its statistics of ten languages: here of four layers, narrow ones where there are histograms."""
    path = Path(__file__).parents[1] / "bench/bench_detectors.py"
    spec = present(importlib.util.spec_from_file_location("bench_detectors", path))
    module = importlib.util.module_from_spec(spec)
    present(spec.loader).exec_module(module)
    return module


@pytest.mark.parametrize("name", sorted(set(NAMES) - UNBOUNDED - {"random"}))
def test_peak_memory(name, bench, monkeypatch):
    detector = PLUGINS.resolve("detectors", name)()
    histograms = any(need.statistic in {"histogram", "quantile_sketch"} for need in detector.needs())
    monkeypatch.setattr(bench, "WIDTH", 512 if histograms else 8192)
    evidence, size = bench.make_evidence(detector, 4, 8)
    size += sum(change.nbytes for change in evidence.loss_changes.values()) if detector.ablation_tokens() else 0
    detector(evidence)  # what is imported and cached at the first call
    assert peak_bytes(detector, evidence) < 3 * size  # with the statistics themselves: under four times
