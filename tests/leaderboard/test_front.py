"""The front page without JavaScript: every number is the record's, at every width, in both themes, on paper."""

import pytest
from browser import slug

pytestmark = pytest.mark.browser


@pytest.fixture
def plain_page(browser, site):
    """The front page in a browser without JavaScript."""
    made = browser.new_context(java_script_enabled=False, viewport={"width": 1440, "height": 900})
    page = made.new_page()
    page.set_default_timeout(240_000)
    page.goto(f"file://{site / 'index.html'}")
    yield page
    made.close()


def test_every_number_is_the_records_without_javascript(plain_page, records):
    by_slug = {slug(record): record for record in records[1]}
    rows = plain_page.query_selector_all(".fronttable tbody tr")
    assert rows
    for row in rows:
        record = by_slug[row.get_attribute("data-id")]
        summary = next(s for s in record.summary if s.task == "ppl")
        for name, field in (("own", "on_target"), ("others", "off_target"), ("selectivity", "selectivity")):
            shown = float(row.query_selector(f"[data-name={name}]").get_attribute("data-value"))
            assert shown == getattr(summary, field).value, name
        own = {each.language: each.on_target.value for each in summary.rows if each.on_target}
        for cell in row.query_selector_all("td.c"):
            value = cell.get_attribute("data-value")
            assert (float(value) if value else None) == own.get(cell.get_attribute("data-tag"))
    dots = plain_page.query_selector_all("svg .dot")
    assert len(dots) == len(rows)
    text = plain_page.text_content("main")
    assert "Which detector finds neurons that belong to one language?" in text
    assert "one budget: in order of selectivity, unranked" in text
    assert "Read with care" in text


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_nothing_is_wider_than_the_screen_in_either_theme(browser, site, width):
    for scheme in ("light", "dark"):
        made = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
        page = made.new_page()
        page.set_default_timeout(240_000)
        page.goto(f"file://{site / 'index.html'}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.evaluate("document.querySelector('.front').scrollTo(400, 200)")
        box = page.evaluate("document.querySelector('.fronttable tbody th').getBoundingClientRect().x")
        frame = page.evaluate("document.querySelector('.front').getBoundingClientRect().x")
        assert abs(box - frame) < 2
        page.focus("td.c")
        note = page.evaluate("getComputedStyle(document.querySelector('td.c'), '::after').content")
        assert "bits per byte" in note
        made.close()
