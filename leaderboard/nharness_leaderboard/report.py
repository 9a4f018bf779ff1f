"""A record as one self-contained HTML file, and its charts as images for papers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from markupsafe import Markup

from nharness import atomic
from nharness.errors import UsageError
from nharness.record.model import Record
from nharness_leaderboard.charts import Chart, charts, matrix_chart
from nharness_leaderboard.ranks import Standings
from nharness_leaderboard.results import Entry
from nharness_leaderboard.site.render import asset, environment
from nharness_leaderboard.site.vega import vega_script
from nharness_leaderboard.site.view import record_view

Kind = Literal["png", "svg", "pdf"]
_PRINT = {"background": "white", "font": "Liberation Sans, Helvetica, Arial, sans-serif", "view": {"stroke": None}}


def html_report(record: Record) -> str:
    """Return the record's page as one file: style, scripts and data inside, no requests.

    Raises `UsageError` when the chart library is not installed.
    """
    scripts = [asset("theme.js"), asset("shared.js"), vega_script(), asset("record.js")]
    nonce = hashlib.sha256(record.identity.id.encode()).hexdigest()[:32]
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}' 'unsafe-eval'; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    inline = {
        "css": Markup(asset("site.css")),  # noqa: S704 - our own file
        "scripts": [_inside_script(script) for script in scripts],
        "nonce": nonce,
    }
    view = record_view(Entry(Path(), record), Standings())
    template = environment().get_template("record.html.j2")
    return template.render(
        root="", site_title="nharness", page="Record", view=view, downloads=[], inline=inline, policy=policy
    )


def write_html(record: Record, path: Path) -> Path:
    """Write the report atomically and return its path; raises `OutputError` when it cannot be written."""
    atomic.write_bytes(path, html_report(record).encode("utf-8", "backslashreplace"))
    return path


def write_images(record: Record, folder: Path, kind: Kind) -> list[Path]:
    """Write every chart of the record, the matrices first, and return the paths.

    PNG at three times the size of the page. Raises `UsageError` when the chart library is not installed.
    """
    written = []
    for chart in all_charts(record):
        path = folder / f"{chart.name}.{kind}"
        atomic.write_bytes(path, image(chart, kind))
        written.append(path)
    return written


def all_charts(record: Record) -> Sequence[Chart]:
    """Return the matrix of each task and then the charts of the page."""
    return [*(matrix_chart(record, task) for task in record.tasks), *charts(record)]


def image(chart: Chart, kind: Kind) -> bytes:
    """Return one chart as PNG, SVG or PDF bytes, on white; raises `UsageError` when the library is not installed."""
    try:
        import vl_convert  # noqa: PLC0415 - optional, and slow to import
    except ImportError as error:
        raise UsageError("images need the package vl-convert-python: pip install 'nharness[charts]'") from error
    spec: dict[str, Any] = {**chart.spec, "config": _PRINT, "title": chart.title}
    text = json.dumps(spec)
    if kind == "svg":
        return str(vl_convert.vegalite_to_svg(text, vl_version=_newest(vl_convert))).encode()
    if kind == "pdf":
        return bytes(vl_convert.vegalite_to_pdf(text, vl_version=_newest(vl_convert)))
    return bytes(vl_convert.vegalite_to_png(text, vl_version=_newest(vl_convert), scale=3))


def _newest(library: Any) -> str:
    versions = [str(version) for version in library.get_vegalite_versions()]
    return max(versions, key=lambda version: [int(part) for part in version.split(".")])


def _inside_script(script: str) -> Markup:
    """Return a script that cannot close its element."""
    return Markup(script.replace("</script", "<\\/script").replace("<!--", "<\\!--"))  # noqa: S704 - escaped here
