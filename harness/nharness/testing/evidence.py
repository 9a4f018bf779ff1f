"""Synthetic evidence: every statistic of the catalogue on made-up activations, for checks and tests of detectors.

Legend: `G` languages, `M` neurons, `D` documents, `T` tokens of a language.
A language's numbers depend on the seed alone and its `place`, so that names and order can be changed and nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nharness.detector import Evidence, Need
from nharness.neurons import Component
from nharness.statistics import LanguageTotals, Statistics, sketch

LANGUAGES = ("en", "de", "zh", "ru", "fr", "ja", "th")
TOKENS, DOCUMENTS, BINS = 96, 12, 8
SITES = ("gate", "hidden")


@dataclass(frozen=True)
class Made:
    """What evidence is made of: languages in order, neurons a layer, and what is odd about them.

    places: each language's own numbers, in the languages' order (default: 0, 1, ...). dead, twins: shares of neurons
    that never fire, and that do what another does. routed: tokens reach some neurons only, as experts.
    """

    languages: tuple[str, ...] = LANGUAGES[:3]
    widths: tuple[int, ...] = (40, 40)
    places: tuple[int, ...] = ()
    dead: float = 0.0
    twins: float = 0.0
    routed: bool = False
    component: Component = "mlp"
    seed: int = 0


def random_evidence(languages: Sequence[str] = LANGUAGES[:3], *, needs: Collection[Need] | None = None) -> Evidence:
    """Return evidence of some languages with every statistic, or with the needed ones alone."""
    return make_evidence(Made(tuple(languages)), needs)


def make_evidence(made: Made, needs: Collection[Need] | None = None) -> Evidence:
    """Return evidence as described; with `needs`, of the sites and statistics that they name, and nothing else."""
    sites = SITES if needs is None else tuple(dict.fromkeys(need.site for need in needs))
    if not sites:
        return Evidence.without_statistics(
            made.languages, Statistics("", made.widths, {}, {}, component=made.component)
        )
    places = dict(zip(made.languages, made.places or range(len(made.languages)), strict=True))
    tables = {site: _copied(_statistics(site, made)) for site in sites}
    if needs is not None:
        tables = {site: _only(table, {n.statistic for n in needs if n.site == site}) for site, table in tables.items()}
    size = sum(made.widths)
    changes = {f"delta/{tag}": _noise(made, place, "loss").normal(size=size) for tag, place in places.items()}
    return Evidence(tables, loss_changes=changes)


def _only(table: Statistics, names: Collection[str]) -> Statistics:
    return replace(table, tensors={n: t for n, t in table.tensors.items() if n.split("/", 1)[0] in names})


def _noise(made: Made, place: int, what: str) -> np.random.Generator:
    return np.random.default_rng([made.seed, place, *what.encode()])


def _copied(table: Statistics) -> Statistics:
    return replace(table, tensors={name: tensor.copy() for name, tensor in table.tensors.items()})


@cache
def _statistics(site: str, made: Made) -> Statistics:
    places = dict(zip(made.languages, made.places or range(len(made.languages)), strict=True))
    tensors: dict[str, NDArray[Any]] = {}
    for tag, place in places.items():
        noise = _noise(made, place, site)
        tensors |= {f"{name}/{tag}": tensor for name, tensor in _tensors(_values(made, noise), made, noise).items()}
    totals = {tag: LanguageTotals(TOKENS, DOCUMENTS) for tag in places}
    return Statistics(site, made.widths, totals, tensors, {"model": "made-up"}, made.component)


def _values(made: Made, noise: np.random.Generator) -> NDArray[np.float64]:
    """Return activations [T, M]: the last neurons are dead, and those before them do what the first ones do."""
    size = sum(made.widths)
    values = noise.normal(noise.normal(0, 0.7, size), 1.0, size=(TOKENS, size))
    dead, twins = round(made.dead * size), round(made.twins * size)
    values[:, size - dead :] = 0
    values[:, size - dead - twins : size - dead] = values[:, :twins]
    return values


def _tensors(values: NDArray[np.float64], made: Made, noise: np.random.Generator) -> dict[str, NDArray[Any]]:
    size = values.shape[1]
    reached = np.full(size, TOKENS)
    if made.routed:
        reached = np.where(noise.random(size) < 0.2, 0, noise.integers(TOKENS // 2, TOKENS, size))
    values = np.where(np.arange(TOKENS)[:, None] < reached, values, np.nan)
    present = ~np.isnan(values)
    filled = np.where(present, values, 0.0)
    rows = filled.reshape(DOCUMENTS, -1, size)
    gradient = filled * noise.normal(size=(TOKENS, 1))
    routed = {f"{name}/routed": reached for name in ("activation_count", "moments")} if made.routed else {}
    edges = np.linspace(-1, 3, BINS + 1).astype(np.float32)
    return {
        **routed,
        "activation_count/positive": (filled > 0).sum(axis=0),
        "moments/sum": filled.sum(axis=0),
        "moments/sumsq": (filled**2).sum(axis=0),
        "histogram/count": _counted(np.digitize(filled, edges), present, BINS + 2),
        "histogram/edges": edges,
        "quantile_sketch/count": _counted(_columns(filled), present, sketch.SIZE),
        "quantile_sketch/least": np.where(present, values, np.inf).min(axis=0).astype(np.float32),
        "quantile_sketch/most": np.where(present, values, -np.inf).max(axis=0).astype(np.float32),
        "document_mean/mean": rows.mean(axis=1).astype(np.float32),
        "up_magnitude/sum": np.abs(rows).sum(axis=1).astype(np.float32),
        "output_change/mean": np.abs(rows).mean(axis=1).astype(np.float32),
        "attribution/sum": gradient.sum(axis=0),
        "attribution/sumsq": (gradient**2).sum(axis=0),
        "attribution/abssum": np.abs(gradient).sum(axis=0),
        "relevance/sum": gradient.sum(axis=0),
    }


def _columns(values: NDArray[np.float64]) -> NDArray[np.int64]:
    keys = (values.astype(np.float32).view(np.int32) >> 20) + (1 << 11)
    return np.asarray(sketch.columns_of_keys()[keys])


def _counted(column: NDArray[np.int64], present: NDArray[np.bool_], size: int) -> NDArray[np.int32]:
    """Return how often each neuron's values fall into each column, int32 [M, size]."""
    count = np.zeros((column.shape[1], size), dtype=np.int32)
    neurons = np.broadcast_to(np.arange(column.shape[1]), column.shape)
    np.add.at(count, (neurons[present], column[present]), 1)
    return count
