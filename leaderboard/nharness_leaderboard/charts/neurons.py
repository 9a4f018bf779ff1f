"""Charts of where neurons lie: per layer and kind, per language, and shared between languages.

Legend: `G` languages, `L` layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nharness.record.model import Record
from nharness.record.tables import Row
from nharness_leaderboard.charts.frame import KIND_COLOURS, Chart, frame

LAYERS = {
    "field": "layer",
    "type": "ordinal",
    "title": "layer",
    "axis": {"labelAngle": 0, "labelOverlap": True},
}
"""The horizontal axis of charts by layer."""


def kind_chart(record: Record, *, over: str) -> Chart | None:
    """Return neurons of each kind per layer, stacked; over "all" candidates or the "selected" neurons."""
    layers = record.neurons.layers
    counts = layers.kinds_all if over == "all" else layers.kinds_selected
    rows: list[Row] = [
        {"layer": layer, "kind": kind, "neurons": values[layer]}
        for kind, values in (counts or {}).items()
        if kind in KIND_COLOURS
        for layer in range(len(values))
    ]
    if not any(row["neurons"] for row in rows):
        return None
    what = "all neurons the detector could have chosen" if over == "all" else "selected neurons"
    spec = frame(f"Neurons per layer and kind, {what}", rows) | {
        "width": 560,
        "height": 200,
        "mark": {"type": "bar", "tooltip": True},
        "encoding": {
            "x": LAYERS,
            "y": {"field": "neurons", "type": "quantitative", "title": "neurons"},
            "color": _kind_colour(),
            "order": {"field": "kind", "sort": "descending"},
        },
    }
    caption = f"Specific to one language, related to several, general to all: {what}, by layer."
    return Chart(f"kinds-{over}", f"Layer profile, {what}", caption, spec)


def language_layer_chart(record: Record) -> Chart | None:
    """Return neurons per language and layer [G, L] as shades."""
    layers = record.neurons.layers.languages
    rows: list[Row] = [
        {"language": tag, "layer": layer, "neurons": count}
        for tag in record.languages
        for layer, count in enumerate(layers.get(tag, ()))
    ]
    if not any(row["neurons"] for row in rows):
        return None
    spec = frame("Neurons per language and layer", rows) | {
        "width": 560,
        "height": {"step": 20},
        "mark": {"type": "rect", "tooltip": True},
        "encoding": {
            "x": LAYERS,
            "y": {"field": "language", "type": "nominal", "sort": list(record.languages), "title": None},
            "color": {"field": "neurons", "type": "quantitative", "scale": {"scheme": "blues"}, "title": "neurons"},
        },
    }
    return Chart("language-layers", "Neurons by language and layer", "Where each language's neurons lie.", spec)


def overlap_chart(record: Record) -> Chart | None:
    """Return the Jaccard overlap of every two languages' neurons [G, G], 0 to 1, with numbers."""
    size = len(record.languages)
    rows: list[Row] = [
        {"language": a, "other": b, "jaccard": record.neurons.overlap[i][j]}
        for i, a in enumerate(record.languages)
        for j, b in enumerate(record.languages)
        if i != j
    ]
    if size < 2 or size > 40 or not any(row["jaccard"] is not None for row in rows):
        return None
    order = list(record.languages)
    across = {"labelAngle": 0, "orient": "top"}
    shared = {
        "x": {"field": "other", "type": "nominal", "sort": order, "title": None, "axis": across},
        "y": {"field": "language", "type": "nominal", "sort": order, "title": None},
    }
    scale = {"range": ["#ffffff", "#08519c"], "domain": [0, 1], "interpolate": "rgb"}
    colour = {"field": "jaccard", "type": "quantitative", "title": "Jaccard", "scale": scale}
    ink = {"condition": {"test": "datum.jaccard > 0.55", "value": "white"}, "value": "#1a1a1a"}
    spec = frame("Overlap of neurons between languages", rows) | {
        "width": {"step": 38},
        "height": {"step": 22},
        "encoding": shared,
        "layer": [
            {"mark": {"type": "rect", "tooltip": True}, "encoding": {"color": colour}},
            {
                "transform": [{"filter": "datum.jaccard !== null"}],
                "mark": {"type": "text", "fontSize": 10},
                "encoding": {"text": {"field": "jaccard", "format": ".2f"}, "color": ink},
            },
        ],
    }
    caption = "Share of two languages' neurons that belong to both (Jaccard overlap)."
    return Chart("overlap", "Overlap between languages", caption, spec)


def _kind_colour() -> Mapping[str, Any]:
    scale = {"domain": list(KIND_COLOURS), "range": list(KIND_COLOURS.values())}
    return {"field": "kind", "type": "nominal", "scale": scale, "title": None, "legend": {"orient": "top"}}
