"""What every chart shares: its value, its frame, and free text made harmless."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nharness.record.tables import Row

Spec = dict[str, Any]
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
KIND_COLOURS = {"specific": "#0072B2", "related": "#E69F00", "general": "#009E73"}
HARM, CONTROL = "#D55E00", "#8a8f98"
SHADES = ("#4f9bd9", "#ffffff", "#e8702a")
_MARKS = re.compile(r"[^\w ./%+()-]")


@dataclass(frozen=True)
class Chart:
    """One chart: name for files and anchors, title, what it shows in a sentence, specification with its numbers."""

    name: str
    title: str
    caption: str
    spec: Spec

    @property
    def table(self) -> Sequence[Row]:
        """The numbers that are drawn."""
        rows: Sequence[Row] = self.spec["data"]["values"]
        return rows


def frame(description: str, rows: Sequence[Row]) -> Spec:
    """Return the part that every specification begins with: description and data."""
    return {"$schema": SCHEMA, "description": description, "data": {"values": [dict(row) for row in rows]}}


def plain(text: str) -> str:
    """Return free text made safe for a chart, whose titles become part of expressions."""
    return _MARKS.sub(" ", text)[:80]
