"""Time and memory of every detector on the statistics of a 7-billion-parameter model: 32 x 14 336 neurons, 10 languages.

Run it: python tests/bench/bench_detectors.py [NAME ...] [--documents N] [--histogram-share S]
Histograms of the whole model are 14.7 GB; they are made for a share of the layers and the time is scaled up. On a busy machine
processor time (`cpu s`) is the one to compare with the limit.
Peak memory is what detection allocates beside the statistics, as a multiple of the statistics' size.
"""

import argparse
import time
import tracemalloc

import numpy as np

from nharness.detector import Evidence
from nharness.plugins import Plugins
from nharness.statistics import LanguageTotals, Statistics, sketch

LAYERS, WIDTH, BINS = 32, 14_336, 400
TAGS = ("ar", "de", "en", "es", "fr", "ja", "ru", "th", "vi", "zh")
LIMITS = {"lape": 2.0}
SKIPPED = ("probe", "exhaustive", "crane")
TOKENS = 100_000
DISTRIBUTIONS = frozenset({"histogram", "quantile_sketch"})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--documents", type=int, default=16)
    parser.add_argument("--histogram-share", type=float, default=1 / 16)
    arguments = parser.parse_args()
    plugins = Plugins()
    every = [name for name, entry in plugins.entries("detectors").items() if entry.plugin == "detectors"]
    print(f"{'detector':20}{'statistics':>12}{'seconds':>9}{'cpu s':>9}{'limit':>7}{'peak':>7}   neurons per language")
    for name in arguments.names or [name for name in every if name not in SKIPPED]:
        measure(plugins.resolve("detectors", name)(), arguments)


def measure(detector, arguments):
    share = arguments.histogram_share if any(need.statistic in DISTRIBUTIONS for need in detector.needs()) else 1
    layers = max(1, round(LAYERS * share))
    evidence, size = make_evidence(detector, layers, arguments.documents)
    begun = time.perf_counter(), time.process_time()
    found = detector(evidence)
    wall = (time.perf_counter() - begun[0]) * LAYERS / layers
    processor = (time.process_time() - begun[1]) * LAYERS / layers
    tracemalloc.start()
    detector(evidence)
    peak = tracemalloc.get_traced_memory()[1] / size
    tracemalloc.stop()
    scaled = f" (from {layers} of {LAYERS} layers)" if layers < LAYERS else ""
    print(
        f"{detector.name:20}{size * LAYERS / layers / 2**20:>9.0f} MB{wall:>9.2f}{processor:>9.2f}"
        f"{LIMITS.get(detector.name, 5.0):>7.1f}{peak:>6.2f}x   {found.membership.sum(axis=1).tolist()}{scaled}"
    )


def make_evidence(detector, layers, documents):
    random = np.random.default_rng(0)
    sites = {}
    for need in detector.needs():
        tensors = sites.setdefault(need.site, {})
        for tag in TAGS:
            for tensor, value in make(need.statistic, layers * WIDTH, documents, random).items():
                tensors[f"{need.statistic}/{tensor}/{tag}"] = value
    totals = {tag: LanguageTotals(TOKENS, documents) for tag in TAGS}
    statistics = {site: Statistics(site, (WIDTH,) * layers, totals, tensors) for site, tensors in sites.items()}
    size = sum(tensor.nbytes for entry in statistics.values() for tensor in entry.tensors.values())
    changes = {f"delta/{tag}": random.standard_normal(layers * WIDTH) for tag in TAGS}
    return Evidence(statistics, loss_changes=changes), size


def make(statistic, size, documents, random):
    if statistic == "activation_count":
        return {"positive": (TOKENS * random.beta(0.3, 1.5, size)).astype(np.int64)}
    if statistic == "moments":
        mean = random.standard_normal(size)
        return {"sum": TOKENS * mean, "sumsq": TOKENS * (mean**2 + random.random(size))}
    if statistic in {"attribution", "relevance"}:
        return {name: random.standard_normal(size) for name in ("sum", "sumsq", "abssum")}
    if statistic == "histogram":
        counts = random.integers(0, 500, (1024, BINS + 2), dtype=np.int32)
        return {"count": np.concatenate([counts] * (size // 1024)), "edges": np.linspace(-0.4, 2, BINS + 1, dtype="f4")}
    if statistic == "quantile_sketch":
        counts = random.integers(0, 500, (1024, sketch.SIZE), dtype=np.int32)
        ends = np.full(size, 100, dtype=np.float32)
        return {"count": np.concatenate([counts] * (size // 1024)), "least": -ends, "most": ends}
    tensor = "sum" if statistic == "up_magnitude" else "mean"
    return {tensor: random.standard_normal((documents, size), dtype=np.float32)}


if __name__ == "__main__":
    main()
