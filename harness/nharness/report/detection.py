"""A detection as tables: where its neurons are, of which kind, how languages share them, and what training moved.

Legend: `G` languages, `L` layers, `M` neurons.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from nharness.neurons import KINDS, Detection, same_model

Rows = list[dict[str, Any]]
Over = Literal["selected", "all"]


def languages_by_layer(detection: Detection) -> Rows:
    """Return one row per layer, with the number of neurons of each language."""
    return [
        {"layer": layer, **dict(zip(detection.languages, counts.tolist(), strict=True))}
        for layer, part in enumerate(_layers(detection))
        for counts in (detection.membership[:, part].sum(axis=1),)
    ]


def kinds_by_layer(detection: Detection, over: Over) -> Rows:
    """Return one row per layer, with the number of neurons of each kind."""
    kinds = detection.kinds(over=over)
    return [
        {"layer": layer, **dict(zip(KINDS, np.bincount(kinds[part], minlength=len(KINDS)).tolist(), strict=True))}
        for layer, part in enumerate(_layers(detection))
    ]


def overlap_rows(detection: Detection) -> Rows:
    """Return the Jaccard overlap of every two languages, one row per language; None where both have no neuron."""
    member = detection.membership.astype(np.int64)
    shared = member @ member.T
    sizes = np.diag(shared)
    union = sizes[:, None] + sizes[None, :] - shared
    return [
        {
            "language": tag,
            **{
                other: (float(shared[i, j] / union[i, j]) if union[i, j] else None)
                for j, other in enumerate(detection.languages)
            },
        }
        for i, tag in enumerate(detection.languages)
    ]


def kind_moves(before: Detection, after: Detection, over: Over) -> Rows:
    """Return how many neurons went from each kind (row) to each kind (column); raises `UsageError` for two models."""
    same_model(after, before, what="the neurons after training")
    first, second = before.kinds(over=over), after.kinds(over=over)
    return [
        {"before": kind, **{other: int(((first == i) & (second == j)).sum()) for j, other in enumerate(KINDS)}}
        for i, kind in enumerate(KINDS)
    ]


def _layers(detection: Detection) -> list[slice]:
    ends = np.cumsum(detection.layer_widths)
    return [slice(int(end - width), int(end)) for end, width in zip(ends, detection.layer_widths, strict=True)]
