"""The structure of a model as tables: concentration, stages, languages among themselves, scripts, meanings.

Legend: `L` layers, `G` languages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from nharness.analysis.alignment import Alignment, Retrieval
from nharness.analysis.structure.layers import per_layer
from nharness.neurons import KINDS, Detection
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
