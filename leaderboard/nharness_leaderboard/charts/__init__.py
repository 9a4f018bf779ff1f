"""Charts of a record as Vega-Lite specifications: one source for the site, the report, and images for papers.

A specification holds its data but no colours of the page (the theme is added where it is drawn), and stands beside a
table of the same numbers.
"""

from __future__ import annotations

from nharness.record.model import Record
from nharness_leaderboard.charts.effects import control_chart, curve_chart, matrix_chart
from nharness_leaderboard.charts.frame import Chart
from nharness_leaderboard.charts.neurons import kind_chart, language_layer_chart, overlap_chart

__all__ = ["Chart", "charts", "matrix_chart"]


def charts(record: Record) -> list[Chart]:
    """Return the record's charts in reading order, empty ones left out."""
    found = [control_chart(record, task) for task in record.tasks]
    found += [curve_chart(record, task, axis) for task in record.tasks for axis in ("budget", "strength")]
    found += [kind_chart(record, over="all"), kind_chart(record, over="selected")]
    found += [language_layer_chart(record), overlap_chart(record)]
    return [chart for chart in found if chart is not None]
