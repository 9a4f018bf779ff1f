"""Measures of what was recorded: where sentences meet, and when the output language appears.

Legend: `G` languages, `L` layers, `C` classes of tokens (G, and one of none), `S` sentences.

*Meanings* (Zeng et al. 2025): LRDS, SADS and retrieval over parallel sentences, whole model and layer by layer
(`nharness.analysis.alignment`).

*Lens* (Wendler et al. 2024): of each language's text, the mass that the state after layer l gives to tokens of the
language itself (`lens-own`) and of English (`lens-english`), l = 0 the embedding's; without a layer, the share of the
tokens that really come next. Over the languages but English, means of the same (`lens-mean-own`, `lens-mean-english`)
and of their difference (`lens-lead`, own less English). Intervals are cluster bootstraps over sources, the same for all
languages of parallel text; expected is the share of the class in the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nharness.analysis.alignment import AlignmentScores, Resampling, alignment, parallel, retrieval
from nharness.analysis.bootstrap import ClusterBootstrap, Totals
from nharness.analysis.rounding import interval, known
from nharness.errors import UsageError
from nharness.record.results import AnalysisSettings
from nharness.record.structure import StructureMeasure
from nharness.statistics import Statistics
from nharness.statistics.lens_masses import LensMasses

FEWEST_SENTENCES, MOST_SENTENCES = 10, 200
COSINES, SENTENCES, MASS = "difference of mean cosines", "share of sentences", "probability"
ENGLISH = "en"
Floats = NDArray[np.float64]
Scored = tuple[int | None, AlignmentScores, float, tuple[float, float]]


def meanings(
    statistics: Statistics, ids: Mapping[str, Sequence[str]], settings: AnalysisSettings
) -> tuple[StructureMeasure, ...]:
    """Return LRDS, SADS and retrieval of documents that all languages have; nothing where these are too few.

    ids: of the documents of each language, in order; the last of a language may have been cut short and is left out.
    """
    if not statistics.has("document_mean") or len(statistics.languages) < 2:
        return ()
    means = {tag: statistics.get("document_mean", "mean", tag) for tag in statistics.languages}
    if any(len(ids.get(tag, ())) != len(rows) for tag, rows in means.items()):
        return ()
    try:
        rows = parallel({tag: ids[tag][:-1] for tag in means}, {tag: found[:-1] for tag, found in means.items()})
    except UsageError:
        return ()  # text that is not parallel says nothing of meanings
    rows = {tag: found[:MOST_SENTENCES] for tag, found in rows.items()}
    if len(next(iter(rows.values()))) < FEWEST_SENTENCES:
        return ()
    resampling = Resampling(seed=settings.seed, confidence=settings.confidence)
    found = alignment(rows, statistics.layer_widths, resampling)
    nearest = retrieval(rows, statistics.layer_widths, resampling)
    scores: list[Scored] = [(None, found.whole, nearest.whole, nearest.interval)]
    layers = zip(found.layers, nearest.layers, nearest.intervals, strict=True)
    scores += [(layer, score, top, ends) for layer, (score, top, ends) in enumerate(layers)]
    return tuple(
        measure
        for layer, score, top, ends in scores
        for measure in _of_layer(layer, score, (top, ends, nearest.chance), settings.precision)
    )


def _of_layer(
    layer: int | None, score: AlignmentScores, nearest: tuple[float, tuple[float, float], float], digits: int
) -> Iterator[StructureMeasure]:
    top, ends, chance = nearest
    for name, unit, value, own, expected in (
        ("lrds", COSINES, score.lrds, score.lrds_interval, 0.0),
        ("sads", COSINES, score.sads, score.sads_interval, 0.0),
        ("retrieval", SENTENCES, top, ends, chance),
    ):
        low, high = own or (np.nan, np.nan)
        yield StructureMeasure(
            name=name,
            unit=unit,
            layer=layer,
            value=known(value, digits),
            interval=interval(low, high, digits),
            expected=known(expected, digits),
        )


def lens_measures(
    read: Mapping[str, LensMasses], shares: Floats, settings: AnalysisSettings
) -> tuple[StructureMeasure, ...]:
    """Return when the output language appears, layer by layer, from masses by language; shares: of the vocabulary [C].

    Classes are the languages of `read`, in order, and none. Nothing without English, or English alone.
    """
    tags = list(read)
    if ENGLISH not in tags or len(tags) < 2:
        return ()
    columns = _columns(tags)
    drawn = ClusterBootstrap(
        _totals(read, columns), resamples=settings.bootstrap_draws, seed=settings.seed, level=settings.confidence
    )
    depth = next(iter(read.values())).mass.shape[1]
    contrasts = _contrasts(tags, columns, depth)
    found = drawn.intervals(contrasts)
    classes = {tag: place for place, tag in enumerate(tags)}
    names = [
        *(
            (f"lens-{what}", tag, layer, shares[classes[tag if what == "own" else ENGLISH]])
            for tag, what, layer in _cells(columns, depth)
        ),
        *(
            (name, None, layer, None)
            for name in ("lens-mean-own", "lens-mean-english", "lens-lead")
            for layer in range(depth)
        ),
    ]
    return tuple(
        StructureMeasure(
            name=name,
            unit=MASS,
            layer=layer,
            languages=() if tag is None else (tag,),
            value=known(float(found.estimate[at]), settings.precision),
            interval=interval(float(found.low[at]), float(found.high[at]), settings.precision),
            expected=None if expected is None else known(float(expected), settings.precision),
        )
        for at, (name, tag, layer, expected) in enumerate(names)
    )


def _columns(tags: Sequence[str]) -> list[tuple[str, str]]:
    return [(tag, what) for tag in tags for what in ("own", "english") if (tag, what) != (ENGLISH, "english")]


def _cells(columns: Sequence[tuple[str, str]], depth: int) -> list[tuple[str, str, int | None]]:
    """Return every cell of the bootstrap, in order: a language, what its mass is on, and where; None: in the text."""
    return [(tag, what, layer) for tag, what in columns for layer in (None, *range(depth))]


def _totals(read: Mapping[str, LensMasses], columns: Sequence[tuple[str, str]]) -> Totals:
    """Return mass and positions per source and cell."""
    tags = list(read)
    sources = {name: row for row, name in enumerate(dict.fromkeys(c for each in read.values() for c in each.clusters))}
    change, weight = [], []
    for tag, what in columns:
        each, place = read[tag], tags.index(tag if what == "own" else ENGLISH)
        values = np.concatenate([each.text[:, None, place], each.mass[:, :, place]], axis=1)  # [D, 1 + L + 1]
        rows = [sources[name] for name in each.clusters]
        top, bottom = np.zeros((len(sources), values.shape[1])), np.zeros((len(sources), values.shape[1]))
        np.add.at(top, rows, values)
        np.add.at(bottom, rows, np.broadcast_to(each.positions[:, None].astype(float), values.shape))
        change.append(top)
        weight.append(bottom)
    return Totals(np.concatenate(change, axis=1), np.concatenate(weight, axis=1))


def _contrasts(tags: Sequence[str], columns: Sequence[tuple[str, str]], depth: int) -> Floats:
    """Return the cells, and the three means over the languages but English, as contrasts [m, s]."""
    cells = _cells(columns, depth)
    others = len(tags) - 1
    means = np.zeros((3, depth, len(cells)))
    for at, (tag, what, layer) in enumerate(cells):
        if tag != ENGLISH and layer is not None:
            means[0 if what == "own" else 1, layer, at] = 1 / others
    means[2] = means[0] - means[1]
    return np.concatenate([np.eye(len(cells)), means.reshape(-1, len(cells)).T], axis=1)
