"""The structure of a model as tables: concentration, stages, languages among themselves, scripts, meanings.

Legend: `L` layers, `G` languages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from nharness.analysis.alignment import Alignment, Retrieval
from nharness.analysis.structure.layers import fifth, per_layer
from nharness.neurons import KINDS, Detection
from nharness.record.model import Record
from nharness.record.structure import Structure, StructureMeasure

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
    return {**tables, **recorded_tables(structure)}


def recorded_tables(structure: Structure) -> Tables:
    """Return what the run recorded: where parallel sentences meet, and what the layers say, a row per layer."""
    pooled = [each for each in structure.recorded if not each.languages]
    met = [each for each in pooled if not each.name.startswith("lens-")]
    said = [each for each in pooled if each.name.startswith("lens-")]
    tables: Tables = {}
    if met:
        tables["parallel sentences: whole model and layer by layer"] = _by_layer(met)
    if said:
        tables["text that is not English, through the LM head: after the embedding (0) and each layer"] = _by_layer(
            said
        )
    for tag in dict.fromkeys(tag for each in structure.recorded for tag in each.languages):
        own = [each for each in structure.recorded if each.languages == (tag,)]
        tables[f"text in {tag}, through the LM head: probability of its own tokens, and of English ones"] = _by_layer(
            own
        )
    return tables


def _by_layer(measures: Sequence[StructureMeasure]) -> Rows:
    """Return a row per layer, with every measure and its interval; whole: of no layer."""
    rows: dict[int | None, dict[str, Any]] = {}
    for each in measures:
        row = rows.setdefault(each.layer, {"layer": "whole" if each.layer is None else str(each.layer)})
        row[each.name.removeprefix("lens-")] = each.value
        row[f"{each.name.removeprefix('lens-')} interval"] = each.interval
    return list(rows.values())


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
    """Return one row per layer, with the neurons of each kind as a share of the layer's width."""
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
    lines += _met(record)
    if record.structure.tree:
        lines.append(f"languages by the neurons they share: {record.structure.tree}")
    for task in record.tasks:
        same, other = found.get(f"same-script:{task.name}"), found.get(f"other-script:{task.name}")
        gap = found.get(f"script-difference:{task.name}")
        if same is not None and other is not None and gap is not None:
            lines.append(
                f"{task.name}, harm to other languages: {_percent(same.value)} of the intact value in the same script, "
                f"{_percent(other.value)} in another; p {_number(gap.p)} of reshuffled scripts"
            )
    return lines


def _met(record: Record) -> list[str]:
    """Return where parallel sentences meet, and what the layers say of text that is not English, a line each."""
    held = {(m.name, m.layer): m for m in (record.structure.recorded if record.structure else ()) if not m.languages}
    lines, whole = [], [held.get((name, None)) for name in ("lrds", "sads", "retrieval")]
    if all(each is not None for each in whole):
        lrds, sads, found = (each for each in whole if each is not None)
        lines.append(
            f"parallel sentences: LRDS {_ends(lrds)}, SADS {_ends(sads)}; nearest to their translation "
            f"{_percent(found.value)}, by chance {_percent(found.expected)}"
        )
    lead = {layer: m for (name, layer), m in held.items() if name == "lens-lead" and layer is not None}
    if lead:
        least, last = min(lead, key=lambda layer: lead[layer].value or 0.0), max(lead)
        lines.append(
            f"text that is not English, through the LM head: own language less English {_ends(lead[least])} after "
            f"layer {least}, {_ends(lead[last])} at the end"
        )
    return lines


def _ends(measure: StructureMeasure) -> str:
    value = _number(measure.value)
    return value if measure.interval is None else f"{value} ({measure.interval[0]:.2g} to {measure.interval[1]:.2g})"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}".replace("%", " %")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"
