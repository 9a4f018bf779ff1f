"""Charts of the harm by switching neurons off: against random neurons, by dose, language by language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nharness.record.cells import Task, largest_targets
from nharness.record.matrix import stands_out
from nharness.record.model import Record
from nharness.record.results import CurvePoint
from nharness.record.tables import Row
from nharness.record.types import Estimate
from nharness.report.matrix import drawn
from nharness_leaderboard.charts.frame import CONTROL, HARM, SHADES, Chart, frame, plain


def control_chart(record: Record, task: Task) -> Chart | None:
    """Return each language's harm by its own neurons beside the harm by every random draw of the same size."""
    rows = _control_rows(record, task)
    if not any(row["neurons"] == "random" for row in rows):
        return None
    colour = {
        "field": "neurons",
        "type": "nominal",
        "title": None,
        "legend": {"orient": "top"},
        "scale": {"domain": ["detected", "random"], "range": [HARM, CONTROL]},
    }
    detected = [{"filter": "datum.neurons === 'detected'"}]
    title = f"harm to the own language ({plain(task.unit)})"
    x = {"field": "harm", "type": "quantitative", "title": title, "axis": {"tickCount": 5, "labelOverlap": True}}
    spec = frame(f"Own-language harm against random neurons, {task.name}", rows) | {
        "width": 560,
        "height": {"step": 22},
        "encoding": {"y": {"field": "language", "type": "nominal", "sort": list(record.languages), "title": None}},
        "layer": [
            {
                "transform": [{"filter": "datum.neurons === 'random'"}],
                "mark": {"type": "tick", "thickness": 1.5, "opacity": 0.7, "tooltip": True},
                "encoding": {"x": x, "color": colour},
            },
            {
                "transform": detected,
                "mark": {"type": "rule", "strokeWidth": 2, "color": HARM},
                "encoding": {"x": {"field": "low", "type": "quantitative", "title": title}, "x2": {"field": "high"}},
            },
            {
                "transform": detected,
                "mark": {"type": "point", "filled": True, "size": 70, "tooltip": True},
                "encoding": {"x": x, "color": colour},
            },
        ],
    }
    caption = (
        "The dot is the language's own neurons, with interval; each tick is as many random neurons, layer by layer."
    )
    return Chart(f"controls-{task.name}", f"Against random neurons: {task.name}", caption, spec)


def _control_rows(record: Record, task: Task) -> list[Row]:
    """Return a row per draw and one per language: harm to the language itself."""
    sign = 1 if task.direction == "lower" else -1
    draws = record.controls.draws if record.controls else ()
    whole = largest_targets(record.targets)
    owners = {target.name: target.language for target in record.targets if target.name in whole}
    rows: list[Row] = []
    for draw in draws:
        tag = owners.get(draw.target)
        change = draw.changes.get(task.name, {}).get(tag or "")
        if tag is not None and change is not None:
            rows.append({"language": tag, "neurons": "random", "harm": sign * change, "low": None, "high": None})
    summary = record.summary_of(task.name)
    for row in summary.rows if summary else ():
        if row.on_target is not None and row.target in whole:
            low, high = row.on_target.interval or (None, None)
            rows.append(
                {"language": row.language, "neurons": "detected", "harm": row.on_target.value, "low": low, "high": high}
            )
    return rows


def curve_chart(record: Record, task: Task, axis: str) -> Chart | None:
    """Return selectivity against budget or strength: the detector with its interval, random neurons as a band."""
    points = sorted((p for p in record.curve if p.task == task.name and p.axis == axis), key=lambda p: p.value)
    rows = [_curve_row(point) for point in points]
    if len(rows) < 2:
        return None
    has_random = any(row["random_mean"] is not None for row in rows)
    spec = frame(f"Selectivity against {axis}, {task.name}", rows) | {
        "width": 560,
        "height": 240,
        "encoding": {"x": _dose(points, axis)},
        "layer": [
            *(_band("random", "random_low", "random_mean", "random_high", task) if has_random else []),
            *_band("detected", "selectivity_low", "selectivity", "selectivity_high", task),
        ],
    }
    random = "; dashed, random neurons with the range of their draws" if has_random else ""
    own = record.selection.budget if axis == "budget" else record.intervention.strength
    place = "" if own is None else f"{100 * own:g} %" if axis == "budget" else f"{own:g}"
    here = f" This record is the point at {place}." if place else ""
    caption = f"Harm to the own language minus mean harm to the others, {task.unit}, with its interval{random}.{here}"
    return Chart(f"curve-{task.name}-{axis}", f"Dose and response: {task.name} by {axis}", caption, spec)


def _dose(points: Sequence[CurvePoint], axis: str) -> Mapping[str, Any]:
    """Return the horizontal axis: budgets in percent on a logarithmic scale, or strengths."""
    if axis == "strength" or points[0].value <= 0:
        ticks = {"format": "~g", "tickCount": 6}
        return {"field": axis, "type": "quantitative", "title": axis, "scale": {"zero": False}, "axis": ticks}
    values = [point.value for point in points]
    marks = {
        "values": values if len(values) <= 8 else values[:: len(values) // 6],
        "labelExpr": "format(100 * datum.value, '~g') + ' %'",
    }
    title = "neurons switched off per language, of all neurons"
    return {
        "field": axis,
        "type": "quantitative",
        "title": title,
        "axis": marks,
        "scale": {"type": "log", "nice": False},
    }


def _band(name: str, low: str, middle: str, high: str, task: Task) -> list[Mapping[str, Any]]:
    """Return a line with the area around it."""
    title = f"selectivity ({plain(task.unit)})"
    scale = {"domain": ["detected", "random"], "range": [HARM, CONTROL]}
    legend = {"orient": "top", "symbolType": "circle", "symbolOpacity": 1}
    colour = {"datum": name, "type": "nominal", "scale": scale, "title": None, "legend": legend}
    y = {"type": "quantitative", "title": title}
    line = {"type": "line", "point": True, "tooltip": True, "strokeDash": [4, 3] if name == "random" else [1, 0]}
    return [
        {
            "mark": {"type": "area", "opacity": 0.25},
            "encoding": {"y": y | {"field": low}, "y2": {"field": high}, "color": colour},
        },
        {"mark": line, "encoding": {"y": y | {"field": middle}, "color": colour}},
    ]


def matrix_chart(record: Record, task: Task) -> Chart:
    """Return the language-by-language matrix of harm for papers, with numbers and significance marks."""
    sign = 1 if task.direction == "lower" else -1
    rows: list[Row] = [
        {
            "target": cell.target,
            "language": cell.language,
            "harm": None if cell.change is None else sign * cell.change,
            "mark": "*" if stands_out(cell) else "",
        }
        for cell in record.cells
        if cell.task == task.name
    ]
    largest = max((abs(float(row["harm"] or 0)) for row in rows), default=0.0) or 1.0
    axis = {"labelAngle": 0, "orient": "top"}
    scale = {"domain": [-largest, 0, largest], "range": SHADES, "interpolate": "rgb"}
    unit = plain(task.unit)
    shown = "datum.harm === null ? '' : (abs(datum.harm) < 0.0005 ? '0' : format(datum.harm, '+.3f')) + datum.mark"
    across = {"field": "language", "type": "nominal", "sort": list(task.languages), "title": "evaluated"}
    down = {"field": "target", "type": "nominal", "sort": [t.name for t in record.targets], "title": "deactivated"}
    spec = frame(f"Harm by language, {task.name}", rows) | {
        "width": {"step": 44},
        "height": {"step": 26},
        "transform": [{"calculate": shown, "as": "label"}],
        "encoding": {"x": across | {"axis": axis}, "y": down},
        "layer": [
            {
                "mark": {"type": "rect", "tooltip": True},
                "encoding": {"color": {"field": "harm", "type": "quantitative", "title": unit, "scale": scale}},
            },
            {"mark": {"type": "text", "fontSize": 9, "color": "#111111"}, "encoding": {"text": {"field": "label"}}},
        ],
    }
    caption = f"Rows: neurons deactivated. Columns: language evaluated. Positive is harm, in {task.unit}."
    if task.name in drawn(record):
        caption += " * significant against no change and against random neurons, q below 0.05."
    return Chart(f"matrix-{task.name}", f"Language by language: {task.name}", caption, spec)


def _curve_row(point: CurvePoint) -> Row:
    low, high = _ends(point.selectivity)
    band = point.controls
    return {
        point.axis: point.value,
        "neurons": point.neurons,
        "selectivity": point.selectivity.value if point.selectivity else None,
        "selectivity_low": low,
        "selectivity_high": high,
        "on_target": point.on_target.value if point.on_target else None,
        "off_target": point.off_target.value if point.off_target else None,
        "random_mean": band.mean if band else None,
        "random_low": band.low if band else None,
        "random_high": band.high if band else None,
    }


def _ends(estimate: Estimate | None) -> tuple[float | None, float | None]:
    return estimate.interval if estimate and estimate.interval else (None, None)
