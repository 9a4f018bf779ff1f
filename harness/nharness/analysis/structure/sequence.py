"""Models in a row, before and after, early and late, small and large: what moved between them.

Legend: `M` neurons, `L` layers, `S` sentences.

Kinds are paired neuron by neuron: with d_j the change in whether neuron j is of a kind, 0 or +-1, the interval of the
mean change is mean -+ 1.96 sd / sqrt(M). LRDS, SADS and retrieval are told of every model over the sentences that all
models have; last and first are paired sentence by sentence, over all languages, and over those that were trained and
those that were not, where that is said and there are two of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nharness.analysis.alignment import Resampling, alignment, alignment_change, parallel, retrieval
from nharness.analysis.overlap import overlap
from nharness.analysis.structure.layers import per_layer
from nharness.errors import UsageError
from nharness.neurons import KINDS, Detection, same_model
from nharness.record.comparison import Comparison, Difference, Flow, Kept, Meanings, ModelKinds
from nharness.record.detection import KindCounts
from nharness.statistics import Statistics

NORMAL = 1.959963984540054
Over = Literal["selected", "all"]
Group = Literal["all", "trained", "untrained"]


def compared_neurons(found: Mapping[str, Detection], *, over: Over = "selected") -> Comparison:
    """Return what moved between the detections of models by name, earliest first.

    Raises `UsageError` for fewer than two, for models of other widths, and for other languages.
    """
    names, detections = list(found), list(found.values())
    _require_two(names)
    for name, each in found.items():
        same_model(each, detections[0], what=f"the neurons of {name}")
        if each.languages != detections[0].languages:
            raise UsageError(f"the neurons of {name} and {names[0]} belong to different languages")
    kinds = [each.kinds(over=over) for each in detections]
    first, last = detections[0], detections[-1]
    kept = [overlap(one, other) for one, other in zip(first.membership, last.membership, strict=True)]
    return Comparison(
        models=tuple(names),
        languages=first.languages,
        kinds=tuple(_kinds(name, each, over) for name, each in found.items()),
        flows=tuple(_flow(names[i], names[i + 1], before, after) for i, (before, after) in enumerate(pairwise(kinds))),
        overlap=tuple(
            Kept(language=tag, first=each.first, last=each.second, jaccard=each.jaccard, expected=each.expected)
            for tag, each in zip(first.languages, kept, strict=True)
        ),
        differences=tuple(_shares(kinds[0], kinds[-1])),
    )


def compared_sentences(
    found: Mapping[str, Statistics], *, trained: Sequence[str] = (), sentences: int, resampling: Resampling
) -> Comparison:
    """Return how LRDS, SADS and retrieval changed from the first model to the last, over the sentences that all have.

    Raises `UsageError` for fewer than two, for other languages, and for statistics that do not name their documents.
    """
    names, tables = list(found), list(found.values())
    _require_two(names)
    for name, table in found.items():
        if table.languages != tables[0].languages:
            raise UsageError(f"the statistics of {name} and {names[0]} cover different languages")
        if not isinstance(table.provenance.get("documents"), dict) or not table.has("document_mean"):
            raise UsageError(
                f"the statistics of {name} do not hold document_mean of documents that are named; record them with: "
                "nharness record --statistics document_mean@hidden --document-ids"
            )
    places = {f"{place} {tag}": (table, tag) for place, table in enumerate(tables) for tag in table.languages}
    rows = parallel(
        {place: table.provenance["documents"][tag] for place, (table, tag) in places.items()},
        {place: table.get("document_mean", "mean", tag) for place, (table, tag) in places.items()},
    )
    vectors = [
        {tag: rows[f"{place} {tag}"][:sentences] for tag in table.languages} for place, table in enumerate(tables)
    ]
    differences: list[Difference] = []
    for group, tags in _groups(tables[0].languages, trained).items():
        before, after = ({tag: each[tag] for tag in tags} for each in (vectors[0], vectors[-1]))
        differences += [
            Difference(
                name=name,
                over=group,
                first=change.before,
                last=change.after,
                interval=change.interval,
                paired_over="sentences",
            )
            for name, change in alignment_change(before, after, resampling).items()
        ]
    meanings = [_meanings(name, each, resampling) for name, each in zip(names, vectors, strict=True)]
    return Comparison(
        models=tuple(names),
        languages=tables[0].languages,
        trained=tuple(trained),
        meanings=tuple(meanings),
        differences=tuple(differences),
    )


def _meanings(name: str, vectors: Mapping[str, NDArray[np.floating]], resampling: Resampling) -> Meanings:
    whole = (next(iter(vectors.values())).shape[1],)
    found, nearest = alignment(vectors, whole, resampling).whole, retrieval(vectors, whole, resampling)
    return Meanings(
        model=name,
        lrds=found.lrds,
        lrds_interval=found.lrds_interval or (found.lrds, found.lrds),
        sads=found.sads,
        sads_interval=found.sads_interval or (found.sads, found.sads),
        retrieval=nearest.whole,
        retrieval_interval=nearest.interval,
    )


def _require_two(names: Sequence[str]) -> None:
    if len(names) < 2:
        raise UsageError(f"a comparison needs at least two models; got {', '.join(names) or 'none'}")


def _groups(languages: Sequence[str], trained: Sequence[str]) -> dict[Group, list[str]]:
    for tag in trained:
        if tag not in languages:
            raise UsageError(f"language {tag!r} is named as trained, but the statistics have {', '.join(languages)}")
    groups: dict[Group, list[str]] = {"all": list(languages)}
    if trained:
        groups["trained"] = list(trained)
        groups["untrained"] = [tag for tag in languages if tag not in trained]
    return {name: tags for name, tags in groups.items() if len(tags) > 1}


def _kinds(name: str, detection: Detection, over: Over) -> ModelKinds:
    kinds = detection.kinds(over=over)
    held = detection.membership if over == "selected" or detection.candidates is None else detection.candidates
    layers = {kind: per_layer(kinds == place, detection.layer_widths) for place, kind in enumerate(KINDS)}
    return ModelKinds(
        model=name,
        kinds=KindCounts(**{kind: int(counts.sum()) for kind, counts in layers.items()}),
        layers={kind: tuple(counts.tolist()) for kind, counts in layers.items()},
        by_number=tuple(np.bincount(held.sum(axis=0), minlength=len(detection.languages) + 1).tolist()),
    )


def _flow(before: str, after: str, first: NDArray[np.int8], second: NDArray[np.int8]) -> Flow:
    counts = {
        one: {other: int(((first == i) & (second == j)).sum()) for j, other in enumerate(KINDS)}
        for i, one in enumerate(KINDS)
    }
    return Flow(before=before, after=after, counts=counts, moved=int((first != second).sum()))


def _shares(first: NDArray[np.int8], last: NDArray[np.int8]) -> Iterator[Difference]:
    for place, kind in enumerate(KINDS[:3]):
        one, other = (first == place).astype(float), (last == place).astype(float)
        change = other - one
        half = NORMAL * float(change.std(ddof=1)) / np.sqrt(len(change))
        mean = float(change.mean())
        yield Difference(
            name=f"share-{kind}",
            over="all",
            first=float(one.mean()),
            last=float(other.mean()),
            interval=(mean - half, mean + half),
            paired_over="neurons",
        )
