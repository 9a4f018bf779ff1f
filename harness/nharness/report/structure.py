"""The structure of a model as tables: concentration, stages, languages among themselves, scripts, meanings.

Legend: `L` layers, `G` languages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from nharness.analysis.alignment import Alignment, Retrieval
from nharness.analysis.structure.layers import fifth, per_layer
from nharness.neurons import KINDS, Detection
from nharness.record.model import Record
from nharness.record.structure import Structure

Rows = list[dict[str, Any]]
Tables = dict[str, Rows]
Intervals = Mapping[tuple[str, str | None], tuple[float, float]]


def structure_tables(structure: Structure, intervals: Intervals | None = None) -> Tables:
    """Return the tables of a record's section; intervals: of measures by (name, kind), where there are some."""
    drawn = intervals or {}
    concentration: Rows = [
        {
            "neurons": (each.kind or "assigned") + (" (all candidates)" if each.name.endswith("-all") else ""),
            "where": each.name.removeprefix("concentration-").removesuffix("-all").replace("-", " "),
            "share": each.value,
            **({"interval": drawn.get((each.name, each.kind))} if drawn else {}),
            "of all neurons": each.expected,
            "p": each.p,
        }
        for each in structure.measures
        if each.name.startswith("concentration-")
    ]
    others: Rows = [
        {"measure": each.name, "value": each.value, "by chance": each.expected, "p": each.p, "unit": each.unit}
        for each in structure.measures
        if not each.name.startswith("concentration-")
    ]
    tables: Tables = {"concentration: share of neurons in the first and last fifth of the depth": concentration}
    tables["stages by depth"] = stage_rows(structure)
    if structure.tree:
        tables["languages joined by the neurons they share (1 - Jaccard, average linkage)"] = [{"tree": structure.tree}]
    if others:
        tables["languages among themselves, and scripts"] = others
    return tables


def stage_rows(structure: Structure) -> Rows:
    """Return one row a stage, or one that says that there are none."""
    found = structure.stages
    if found is None:
        return [{"stages": "not judged: a model of fewer than eight layers has no room for four"}]
    if not found.found:
        return [{"stages": f"no such structure: {found.best} explains the layers"}]
    starts = [None, *found.borders]
    return [
        {
            "stage": name,
            "from layer": border.layer if border else 0,
            "95 % of resamples": border.interval if border else None,
            "within one layer": border.certainty if border else None,
        }
        for name, border in zip(found.names, starts, strict=True)
    ]


def kind_share_rows(detection: Detection, over: Literal["selected", "all"]) -> Rows:
    """Return one row a layer, with the neurons of each kind as a share of the layer's width."""
    kinds = detection.kinds(over=over)
    counts = per_layer(np.stack([kinds == place for place in range(3)]), detection.layer_widths)
    shares = counts / np.asarray(detection.layer_widths)
    return [{"layer": layer, **dict(zip(KINDS[:3], row.tolist(), strict=True))} for layer, row in enumerate(shares.T)]


def alignment_rows(found: Alignment, nearest: Retrieval) -> Rows:
    """Return LRDS, SADS and retrieval with their intervals, the whole model first and then layer by layer."""
    scores = [("whole", found.whole, nearest.whole, nearest.interval)]
    layers = zip(found.layers, nearest.layers, nearest.intervals, strict=True)
    scores += [(str(layer), score, top, ends) for layer, (score, top, ends) in enumerate(layers)]
    return [
        {
            "layer": layer,
            "LRDS": score.lrds,
            "LRDS interval": score.lrds_interval,
            "SADS": score.sads,
            "SADS interval": score.sads_interval,
            "retrieval": top,
            "retrieval interval": ends,
            "by chance": nearest.chance,
        }
        for layer, score, top, ends in scores
    ]


def structure_lines(record: Record) -> list[str]:
    """Return what the section says, a sentence a line: ends of the depth, stages, the tree, scripts; empty for none."""
    if record.structure is None:
        return []
    layers = len(record.model.layer_widths)
    found = {each.name: each for each in record.structure.measures if each.kind is None}
    lines = [
        f"{name} {fifth(layers)} of {layers} layers: {_percent(end.value)} of the neurons of any language, "
        f"{_percent(end.expected)} of all neurons; p {_number(end.p)} of layers in another order"
        for name in ("first", "last")
        if (end := found.get(f"concentration-{name}")) is not None
    ]
    stages = record.structure.stages
    if stages is not None:
        where = ", ".join(str(border.layer) for border in stages.borders)
        none = f"stages: no such structure; {stages.best} explains the layers"
        lines.append(f"four stages, from layers 0, {where}" if stages.found else none)
    if record.structure.tree:
        lines.append(f"languages by the neurons they share: {record.structure.tree}")
    for task in record.tasks:
        same, other = found.get(f"same-script:{task.name}"), found.get(f"other-script:{task.name}")
        gap = found.get(f"script-difference:{task.name}")
        if same is not None and other is not None and gap is not None:
            lines.append(
                f"{task.name}, harm to other languages: {_percent(same.value)} of the intact value in the same script, "
                f"{_percent(other.value)} in another; p {_number(gap.p)} of scripts dealt anew"
            )
    return lines


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}".replace("%", " %")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"
