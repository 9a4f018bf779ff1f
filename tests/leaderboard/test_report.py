"""Charts say what the record says; images and numbers come out as they should."""

import json
import struct
from xml.etree import ElementTree as ET

import pytest

from nharness_leaderboard.charts import charts, matrix_chart
from nharness_leaderboard.report import all_charts, html_report, write_html, write_images
from nharness_leaderboard.site import text
from synthetic_records import synthetic_record

MINUS = "\N{MINUS SIGN}"


@pytest.fixture(scope="module")
def record():
    return synthetic_record(languages=("en", "zh", "fr"), seed=1, layers=3)


def values(record, name):
    return next(chart for chart in charts(record) if chart.name == name).table


def test_charts_hold_the_records_numbers(record):
    summed = {}
    for row in values(record, "language-layers"):
        summed[row["language"]] = summed.get(row["language"], 0) + row["neurons"]
    assert summed == record.neurons.per_language
    harms = {(row["target"], row["language"]): row["harm"] for row in matrix_chart(record, record.tasks[1]).table}
    assert harms == {(c.target, c.language): -c.change for c in record.cells if c.task == "choice"}
    random = [row for row in values(record, "controls-ppl") if row["neurons"] == "random"]
    assert len(random) == len(record.controls.draws)
    assert [row["selectivity"] for row in values(record, "curve-ppl-budget")] == [
        p.selectivity.value for p in record.curve
    ]


def test_what_was_not_measured_has_no_chart():
    bare = synthetic_record(languages=("en", "zh"), draws=0, curve=False, accuracy=False)
    assert {chart.name for chart in charts(bare)} == {"kinds-all", "kinds-selected", "language-layers", "overlap"}


def test_images(record, tmp_path):
    svgs, pngs = (write_images(record, tmp_path / kind, kind) for kind in ("svg", "png"))
    assert len(svgs) == len(pngs) == len(all_charts(record))
    for path in svgs:
        assert ET.fromstring(path.read_text()).tag.endswith("svg")
    for path in pngs:
        content = path.read_bytes()
        assert content.startswith(b"\x89PNG")
        assert struct.unpack(">I", content[16:20])[0] > 300


def test_report_is_one_file(record, tmp_path):
    path = write_html(record, tmp_path / "report.html")
    page = path.read_text(encoding="utf-8")
    assert page == html_report(record)
    assert 'src="' not in page.split("<script nonce")[0]
    assert '<link rel="stylesheet"' not in page
    spec = page.split('id="spec-1">')[1].split("</script>")[0]
    assert json.loads(spec)["data"]["values"] == [dict(row) for row in charts(record)[0].table]


def test_numbers_for_people():
    assert text.number(0.12345) == "0.123"
    assert text.number(1234.5) == "1,234"
    assert text.number(12345678.0) == "1.23e+07"
    assert text.number(0.00001234) == f"1.23e{MINUS}05"
    assert text.number(0.0) == "0"
    assert text.number(None) == text.number(float("nan")) == text.NONE
    assert text.signed(-0.5) == f"{MINUS}0.500"
    assert text.signed(0.5) == "+0.500"
    assert text.fixed(-0.0004) == "0"
    assert text.fixed(1e308) == "+1.0e+308"
    assert text.p_value(0.0) == "<\N{NARROW NO-BREAK SPACE}0.0001"
    assert text.percent(0.925) == "92\N{NARROW NO-BREAK SPACE}%"
    assert text.plain(0.0010) == "0.001"
