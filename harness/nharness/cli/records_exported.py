"""Records as other programs and papers take them: tables, and the every-eval-ever schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from nharness.errors import UsageError
from nharness.neurons import load as load_neurons
from nharness.record.evalever import to_every_eval_ever
from nharness.record.model import Record
from nharness.record.tables import FORMATS, Row, cell_rows, neuron_rows, summary_rows

EVERY_EVAL_EVER = "every-eval-ever"
STYLES = (*FORMATS, EVERY_EVAL_EVER)


Found = Mapping[Path, Record]
"""Records by the file that each was read from."""


def _each(rows: Callable[[Record], Sequence[Row]]) -> Callable[[Found], Sequence[Row]]:
    return lambda found: [
        {"record": record.identity.id[:12], **row} for record in found.values() for row in rows(record)
    ]


def unit_rows(found: Found) -> list[Row]:
    """Return one row per neuron and language that it belongs to, from the neurons files beside the records.

    Raises `UsageError` for a record without one.
    """
    rows: list[Row] = []
    for path, record in found.items():
        if record.neurons.file is None:
            raise UsageError(f"{path} has no neurons file beside it")
        detection = load_neurons(path.parent / record.neurons.file)
        for place, tag in enumerate(detection.languages):
            score = detection.score if detection.score.ndim == 1 else detection.score[place]
            for flat, (layer, unit) in zip(detection.flat(tag), detection.neurons(tag), strict=True):
                where: Row = {"language": tag, "layer": int(layer), "unit": int(unit), "score": float(score[flat])}
                rows.append({"record": record.identity.id[:12], "detector": detection.detector, **where})
    return rows


TABLES: Mapping[str, Callable[[Found], Sequence[Row]]] = {
    "summary": lambda found: summary_rows(list(found.values())),
    "cells": _each(cell_rows),
    "neurons": _each(neuron_rows),
    "units": unit_rows,
}


def export(found: Found, style: str, table: str) -> str:
    """Return one table of all records in a style, or one JSON document per line in the every-eval-ever schema."""
    if style == EVERY_EVAL_EVER:
        return "".join(json.dumps(to_every_eval_ever(record), ensure_ascii=True) + "\n" for record in found.values())
    return FORMATS[style](TABLES[table](found))
