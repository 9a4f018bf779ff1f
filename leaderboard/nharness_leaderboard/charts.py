"""Charts of a record as Vega-Lite specifications: one source for the site, the report, and images for papers.

Legend: `G` languages, `L` layers.
A specification holds its data, names no colour of the page (the theme is added where it is drawn) and stands beside a
table of the same numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nharness.record.cells import Task
from nharness.record.model import Record
from nharness.record.results import CurvePoint
from nharness.record.tables import Row
from nharness.record.types import Estimate

Spec = dict[str, Any]
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
KIND_COLOURS = {"specific": "#0072B2", "related": "#E69F00", "general": "#009E73"}
HARM, CONTROL = "#D55E00", "#8a8f98"
SHADES = ("#4f9bd9", "#ffffff", "#e8702a")
_MARKS = re.compile(r"[^\w ./%+()-]")


@dataclass(frozen=True)
class Chart:
    """One chart: a name for files and anchors, what it shows in a sentence, its specification, its numbers."""

    name: str
    title: str
    caption: str
    spec: Spec

    @property
    def table(self) -> Sequence[Row]:
        """The numbers that are drawn."""
        rows: Sequence[Row] = self.spec["data"]["values"]
        return rows


def charts(record: Record) -> list[Chart]:
    """Return the record's charts in reading order; one that would be empty is left out."""
    found = [control_chart(record, task) for task in record.tasks]
    found += [curve_chart(record, task, axis) for task in record.tasks for axis in ("budget", "strength")]
    found += [kind_chart(record, over="all"), kind_chart(record, over="selected")]
    found += [language_layer_chart(record), overlap_chart(record)]
    return [chart for chart in found if chart is not None]


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
    spec = _frame(f"Neurons per layer and kind, {what}", rows) | {
        "width": 560,
        "height": 200,
        "mark": {"type": "bar", "tooltip": True},
        "encoding": {
            "x": {
                "field": "layer",
                "type": "ordinal",
                "title": "layer",
                "axis": {"labelAngle": 0, "labelOverlap": True},
            },
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
    spec = _frame("Neurons per language and layer", rows) | {
        "width": 560,
        "height": {"step": 20},
        "mark": {"type": "rect", "tooltip": True},
        "encoding": {
            "x": {
                "field": "layer",
                "type": "ordinal",
                "title": "layer",
                "axis": {"labelAngle": 0, "labelOverlap": True},
            },
            "y": {"field": "language", "type": "nominal", "sort": list(record.languages), "title": None},
            "color": {"field": "neurons", "type": "quantitative", "scale": {"scheme": "blues"}, "title": "neurons"},
        },
    }
    return Chart("language-layers", "Neurons by language and layer", "Where each language's neurons lie.", spec)


def overlap_chart(record: Record) -> Chart | None:
    """Return the Jaccard overlap of every two languages' neurons [G, G], 0 to 1, numbers on it."""
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
    shared = {
        "x": {
            "field": "other",
            "type": "nominal",
            "sort": order,
            "title": None,
            "axis": {"labelAngle": 0, "orient": "top"},
        },
        "y": {"field": "language", "type": "nominal", "sort": order, "title": None},
    }
    colour = {
        "field": "jaccard",
        "type": "quantitative",
        "title": "Jaccard",
        "scale": {"scheme": "blues", "domain": [0, 1]},
    }
    ink = {"condition": {"test": "datum.jaccard > 0.55", "value": "white"}, "value": "#1a1a1a"}
    spec = _frame("Overlap of neurons between languages", rows) | {
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


def curve_chart(record: Record, task: Task, axis: str) -> Chart | None:
    """Return selectivity against budget or strength: the detector with its interval, random neurons as a band."""
    points = sorted((p for p in record.curve if p.task == task.name and p.axis == axis), key=lambda p: p.value)
    rows = [_curve_row(point) for point in points]
    if len(rows) < 2:
        return None
    scale = {"type": "log"} if axis == "budget" and points[0].value > 0 else {"zero": False}
    title = "share of neurons per language" if axis == "budget" else "strength"
    marks = {"format": "~g", "values": _powers(points)} if axis == "budget" else {"format": "~g", "tickCount": 6}
    x = {"field": axis, "type": "quantitative", "scale": scale, "title": title, "axis": marks}
    band = {"type": "area", "opacity": 0.25}
    spec = _frame(f"Selectivity against {axis}, {task.name}", rows) | {
        "width": 560,
        "height": 240,
        "encoding": {"x": x},
        "layer": [
            {"mark": band | {"color": CONTROL}, "encoding": _span("random_low", "random_high", task)},
            {"mark": {"type": "line", "color": CONTROL, "strokeDash": [4, 3]}, "encoding": {"y": _y("random_mean")}},
            {"mark": band | {"color": HARM}, "encoding": _span("selectivity_low", "selectivity_high", task)},
            {"mark": {"type": "line", "color": HARM, "point": {"color": HARM}, "tooltip": True},
             "encoding": {"y": _y("selectivity")}},
        ],
    }  # fmt: skip
    caption = "Harm to the own language minus mean harm to the others; the grey band is random neurons."
    return Chart(f"curve-{task.name}-{axis}", f"Dose and response: {task.name} by {axis}", caption, spec)


def control_chart(record: Record, task: Task) -> Chart | None:
    """Return each language's harm by its own neurons beside the harm by every random draw of the same size."""
    sign = 1 if task.direction == "lower" else -1
    draws = record.controls.draws if record.controls else ()
    owners = {target.name: target.language for target in record.targets}
    rows: list[Row] = []
    for draw in draws:
        tag = owners.get(draw.target)
        change = draw.changes.get(task.name, {}).get(tag or "")
        if tag is not None and change is not None:
            rows.append({"language": tag, "neurons": "random", "harm": sign * change, "low": None, "high": None})
    summary = record.summary_of(task.name)
    for row in summary.rows if summary else ():
        if row.on_target is not None:
            low, high = row.on_target.interval or (None, None)
            rows.append(
                {"language": row.language, "neurons": "detected", "harm": row.on_target.value, "low": low, "high": high}
            )
    if not draws or not any(row["neurons"] == "random" for row in rows):
        return None
    colour = {"field": "neurons", "type": "nominal", "title": None,
              "scale": {"domain": ["detected", "random"], "range": [HARM, CONTROL]}}  # fmt: skip
    detected = [{"filter": "datum.neurons === 'detected'"}]
    x = {"field": "harm", "type": "quantitative", "title": f"harm to the own language ({_plain(task.unit)})"}
    spec = _frame(f"Own-language harm against random neurons, {task.name}", rows) | {
        "width": 560,
        "height": {"step": 22},
        "encoding": {"y": {"field": "language", "type": "nominal", "sort": list(record.languages), "title": None}},
        "layer": [
            {"transform": [{"filter": "datum.neurons === 'random'"}],
             "mark": {"type": "tick", "thickness": 1.5, "opacity": 0.7, "tooltip": True},
             "encoding": {"x": x, "color": colour}},
            {"transform": detected, "mark": {"type": "rule", "strokeWidth": 2, "color": HARM},
             "encoding": {"x": {"field": "low", "type": "quantitative", "title": x["title"]}, "x2": {"field": "high"}}},
            {"transform": detected, "mark": {"type": "point", "filled": True, "size": 70, "tooltip": True},
             "encoding": {"x": x, "color": colour}},
        ],
    }  # fmt: skip
    caption = (
        "The dot is the language's own neurons, with interval; each tick is as many random neurons, layer by layer."
    )
    return Chart(f"controls-{task.name}", f"Against random neurons: {task.name}", caption, spec)


def matrix_chart(record: Record, task: Task) -> Chart:
    """Return the language-by-language matrix of harm, numbers on it, significance marked: for papers."""
    sign = 1 if task.direction == "lower" else -1
    rows: list[Row] = [
        {"target": cell.target, "language": cell.language, "harm": None if cell.change is None else sign * cell.change,
         "mark": "*" if cell.q is not None and cell.q < 1 - record.analysis.confidence else ""}
        for cell in record.cells if cell.task == task.name
    ]  # fmt: skip
    largest = max((abs(float(row["harm"] or 0)) for row in rows), default=0.0) or 1.0
    axis = {"labelAngle": 0, "orient": "top"}
    scale = {"domain": [-largest, 0, largest], "range": SHADES, "interpolate": "rgb"}
    shown = "datum.harm === null ? '' : (abs(datum.harm) < 0.0005 ? '0' : format(datum.harm, '+.3f')) + datum.mark"
    across = {"field": "language", "type": "nominal", "sort": list(task.languages), "title": "evaluated"}
    down = {"field": "target", "type": "nominal", "sort": [t.name for t in record.targets], "title": "deactivated"}
    spec = _frame(f"Harm by language, {task.name}", rows) | {
        "width": {"step": 44},
        "height": {"step": 26},
        "transform": [{"calculate": shown, "as": "label"}],
        "encoding": {"x": across | {"axis": axis}, "y": down},
        "layer": [
            {"mark": {"type": "rect", "tooltip": True},
             "encoding": {"color": {"field": "harm", "type": "quantitative", "title": _plain(task.unit), "scale": scale}}},
            {"mark": {"type": "text", "fontSize": 9, "color": "#111111"}, "encoding": {"text": {"field": "label"}}},
        ],
    }  # fmt: skip
    caption = (
        f"Rows: neurons deactivated. Columns: language evaluated. Positive is harm, in {task.unit}. * q below 0.05."
    )
    return Chart(f"matrix-{task.name}", f"Language by language: {task.name}", caption, spec)


def _plain(text: str) -> str:
    """Return free text as a chart may carry it: titles become part of expressions, where marks would mean something."""
    return _MARKS.sub(" ", text)[:80]


def _frame(description: str, rows: Sequence[Row]) -> Spec:
    return {"$schema": SCHEMA, "description": description, "data": {"values": [dict(row) for row in rows]}}


def _powers(points: Sequence[CurvePoint]) -> list[float]:
    """Return the powers of ten, and three times those, between the first and the last point."""
    low, high = points[0].value * 0.999, points[-1].value * 1.001
    return [m * 10.0**e for e in range(-8, 1) for m in (1, 3) if low <= m * 10.0**e <= high]


def _kind_colour() -> Mapping[str, Any]:
    scale = {"domain": list(KIND_COLOURS), "range": list(KIND_COLOURS.values())}
    return {"field": "kind", "type": "nominal", "scale": scale, "title": None, "legend": {"orient": "top"}}


def _y(field: str) -> Mapping[str, Any]:
    return {"field": field, "type": "quantitative"}


def _span(low: str, high: str, task: Task) -> Mapping[str, Any]:
    return {"y": {"field": low, "type": "quantitative", "title": f"selectivity ({_plain(task.unit)})"}, "y2": {"field": high}}


def _curve_row(point: CurvePoint) -> Row:
    low, high = _ends(point.selectivity)
    band = point.controls
    return {
        point.axis: point.value, "neurons": point.neurons,
        "selectivity": point.selectivity.value if point.selectivity else None,
        "selectivity_low": low, "selectivity_high": high,
        "on_target": point.on_target.value if point.on_target else None,
        "off_target": point.off_target.value if point.off_target else None,
        "random_mean": band.mean if band else None,
        "random_low": band.low if band else None, "random_high": band.high if band else None,
    }  # fmt: skip


def _ends(estimate: Estimate | None) -> tuple[float | None, float | None]:
    return estimate.interval if estimate and estimate.interval else (None, None)
