"""What every detector must keep, checked on random evidence that holds every statistic it may ask for.

Legend: `G` languages, `M` neurons, `D` documents.

1. It runs on three languages and layers of unequal width, and returns rows for all of them, in order.
2. It is deterministic: twice the same evidence, twice the same neurons and scores.
3. It does not change its evidence.
4. It does not depend on the order of the languages: permuted evidence gives permuted rows.
5. It refuses a single language with a sentence.
6. What it returns survives being written and read.
7. It can be cut to a budget, and then no language has more neurons than that.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nharness.detector import Detector, Evidence
from nharness.errors import NharnessError, UsageError
from nharness.neurons import Detection
from nharness.neurons import load as load_neurons
from nharness.statistics import LanguageTotals, Statistics, sketch

WIDTHS = (23, 40, 17)
LANGUAGES = ("en", "de", "zh")
TOKENS, DOCUMENTS, BINS = 500, 12, 8
BUDGET = 0.05


@dataclass(frozen=True)
class Point:
    """One thing that was checked; `problem` is empty when it holds."""

    name: str
    problem: str


def random_evidence(languages: Sequence[str] = LANGUAGES, *, seed: int = 0) -> Evidence:
    """Return evidence at both sites with every statistic of the catalogue; a language's numbers depend on its tag."""
    sites = {site: _statistics(site, languages, seed) for site in ("gate", "hidden")}
    losses = {f"delta/{tag}": _noise(tag, "loss", seed).normal(size=sum(WIDTHS)) for tag in languages}
    return Evidence(sites, losses=losses)


def check_detector(make: Callable[[], Detector]) -> list[Point]:
    """Return every point of the module's list with what is wrong about it; `make` builds a new instance."""
    points = []
    for name, check in (
        ("rows for all languages", _rows),
        ("deterministic", _deterministic),
        ("leaves its evidence alone", _untouched),
        ("order of languages", _order),
        ("refuses one language", _single),
        ("survives its file", _file),
        ("can be cut to a budget", _budget),
    ):
        try:
            problem = check(make)
        except Exception as error:  # noqa: BLE001 - the plug-in boundary: whatever a stranger's detector raises is the finding
            problem = f"raised {type(error).__name__}: {error}"
        points.append(Point(name, problem))
    return points


def _rows(make: Callable[[], Detector]) -> str:
    found = make()(random_evidence())
    if found.languages != LANGUAGES:
        return f"returned languages {found.languages}, expected {LANGUAGES}"
    return "" if found.layer_widths == WIDTHS else f"returned layer widths {found.layer_widths}, expected {WIDTHS}"


def _deterministic(make: Callable[[], Detector]) -> str:
    evidence = random_evidence()
    return _difference(make()(evidence), make()(evidence), "the same evidence gave another result")


def _untouched(make: Callable[[], Detector]) -> str:
    evidence, fresh = random_evidence(), random_evidence()
    make()(evidence)
    for site, table in evidence.sites.items():
        for name, tensor in table.tensors.items():
            if not np.array_equal(tensor, fresh.sites[site].tensors[name]):
                return f"changed {name} at site {site}"
    return ""


def _order(make: Callable[[], Detector]) -> str:
    turned = tuple(reversed(LANGUAGES))
    first, second = make()(random_evidence()), make()(random_evidence(turned))
    rows = [second.languages.index(tag) for tag in LANGUAGES]
    return "" if np.array_equal(first.membership, second.membership[rows]) else "another order, other neurons"


def _single(make: Callable[[], Detector]) -> str:
    try:
        make()(random_evidence(LANGUAGES[:1]))
    except UsageError:
        return ""
    except NharnessError as error:
        return f"raised {type(error).__name__}, expected UsageError"
    return "accepted a single language"


def _file(make: Callable[[], Detector]) -> str:
    found = make()(random_evidence())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "neurons.safetensors"
        found.save(path)
        return _difference(found, load_neurons(path), "another result after writing and reading")


def _budget(make: Callable[[], Detector]) -> str:
    cut = make()(random_evidence()).cut(BUDGET)
    most = max(1, round(BUDGET * sum(WIDTHS)))
    largest = int(cut.membership.sum(axis=1).max())
    return "" if largest <= most else f"{largest} neurons of one language, expected at most {most}"


def _difference(first: Detection, second: Detection, what: str) -> str:
    same = np.array_equal(first.membership, second.membership)
    same = same and np.array_equal(first.score, second.score, equal_nan=True)
    return "" if same else what


def _sketched(values: NDArray[np.float64]) -> NDArray[np.int32]:
    keys = (values.astype(np.float32).view(np.int32) >> 20) + (1 << 11)
    columns = sketch.columns_of_keys()[keys]
    return np.stack([np.bincount(column, minlength=sketch.SIZE) for column in columns.T]).astype(np.int32)


def _noise(tag: str, what: str, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, *f"{what}/{tag}".encode()])


def _statistics(site: str, languages: Sequence[str], seed: int) -> Statistics:
    tensors: dict[str, NDArray[Any]] = {}
    edges = np.linspace(-1, 3, BINS + 1).astype(np.float32)
    for tag in languages:
        noise, size = _noise(tag, site, seed), sum(WIDTHS)
        values = noise.normal(noise.normal(0, 0.7, size), 1.0, size=(TOKENS, size))  # [tokens, M]
        by_document = values[: DOCUMENTS * (TOKENS // DOCUMENTS)].reshape(DOCUMENTS, -1, size)
        counts = np.stack([np.bincount(np.digitize(column, edges), minlength=BINS + 2) for column in values.T])
        gradient = values * noise.normal(size=values.shape)
        tensors |= {
            f"activation_count/positive/{tag}": (values > 0).sum(axis=0).astype(np.int64),
            f"moments/sum/{tag}": values.sum(axis=0),
            f"moments/sumsq/{tag}": (values**2).sum(axis=0),
            f"histogram/count/{tag}": counts.astype(np.int64),
            f"histogram/edges/{tag}": edges,
            f"quantile_sketch/count/{tag}": _sketched(values),
            f"quantile_sketch/least/{tag}": values.min(axis=0).astype(np.float32),
            f"quantile_sketch/most/{tag}": values.max(axis=0).astype(np.float32),
            f"document_mean/mean/{tag}": by_document.mean(axis=1).astype(np.float32),
            f"up_magnitude/sum/{tag}": np.abs(by_document).sum(axis=1).astype(np.float32),
            f"output_change/mean/{tag}": np.abs(by_document).mean(axis=1).astype(np.float32),
            f"attribution/sum/{tag}": gradient.sum(axis=0),
            f"attribution/sumsq/{tag}": (gradient**2).sum(axis=0),
            f"attribution/abssum/{tag}": np.abs(gradient).sum(axis=0),
            f"relevance/sum/{tag}": gradient.sum(axis=0),
        }
    totals = {tag: LanguageTotals(TOKENS, DOCUMENTS) for tag in languages}
    return Statistics(site, WIDTHS, totals, tensors)
