"""Records as other programs and papers take them: tables, and the every-eval-ever schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from nharness.record.evalever import to_every_eval_ever
from nharness.record.model import Record
from nharness.record.tables import FORMATS, Row, cell_rows, neuron_rows, summary_rows

EVERY_EVAL_EVER = "every-eval-ever"
STYLES = (*FORMATS, EVERY_EVAL_EVER)


def _each(rows: Callable[[Record], Sequence[Row]]) -> Callable[[Sequence[Record]], Sequence[Row]]:
    return lambda records: [{"record": record.identity.id[:12], **row} for record in records for row in rows(record)]


TABLES: Mapping[str, Callable[[Sequence[Record]], Sequence[Row]]] = {
    "summary": summary_rows,
    "cells": _each(cell_rows),
    "neurons": _each(neuron_rows),
}


def export(records: Sequence[Record], style: str, table: str) -> str:
    """Return one table of all records in a style, or one JSON document a line in the every-eval-ever schema."""
    if style == EVERY_EVAL_EVER:
        return "".join(json.dumps(to_every_eval_ever(record), ensure_ascii=True) + "\n" for record in records)
    return FORMATS[style](TABLES[table](records))
