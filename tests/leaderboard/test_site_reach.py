"""Comparing, themes, keyboard, accessibility, narrow screens, paper: the site in a real browser, from the disk."""

import pytest

from browser import Watched, address, slug
from narrowing import present
from nharness_leaderboard.report import html_report
from nharness_leaderboard.results import place

pytestmark = pytest.mark.browser
MINUS = "\N{MINUS SIGN}"


def test_compare_pairs_records_with_items(watched, site, records):
    from nharness_leaderboard.paired import difference, sides
    from nharness_leaderboard.site.text import rounded

    one, two = records[1][:2]
    page = watched.open(site / "records.html")
    for record in (one, two):
        page.check(f"tr[data-id='{slug(record)}'] input")
    page.click("#go")
    page.wait_for_selector("#differences [data-difference]")
    expected = present(difference(*(sides(r, records[0] / place(r))["ppl"] for r in (one, two))))
    text = page.text_content("#differences tbody")
    shown = float(page.get_attribute("#differences [data-difference]", "data-difference"))
    assert shown == rounded(expected.value)
    low, high = (f"{end:+.3g}".replace("-", MINUS)[:5] for end in expected.interval)
    assert low in text
    assert high in text
    assert "paired" in text
    assert "unpaired" not in text
    matrices = page.query_selector_all("table.heat")
    assert len(matrices) == 3
    values = matrices[2].eval_on_selector_all("td.c", "cells => cells.map(c => Number(c.dataset.value))")
    assert values == pytest.approx([a.change - b.change for a, b in zip(one.cells, two.cells, strict=True)])
    assert page.evaluate("getComputedStyle(document.querySelector('#tables .figures')).display") == "grid"
    other = records[1][4]
    page.select_option("#add [name=record]", slug(other))
    page.click("#add button")
    page.wait_for_function(
        "() => document.querySelectorAll('table.heat').length === 3 && document.querySelectorAll('#chosen li').length === 3"
    )
    assert "not comparable" in page.text_content("#differences")
    assert slug(other) in address(page)


def test_compare_says_what_it_leaves_out_and_subtracts_only_what_is_comparable(watched, site, records):
    page = watched.open(site / "records.html")
    for box in page.query_selector_all("#board tbody input")[:7]:
        box.check()
    assert page.text_content("#picked") == "7 picked"
    page.click("#go")
    page.wait_for_selector("#chosen li >> nth=6")
    one, other = slug(records[1][0]), slug(records[1][4])
    page = watched.open(site / "compare.html", f"#r={one},{other}")
    assert len(page.query_selector_all("table.heat")) == 2
    assert "No matrix of differences" in page.text_content("#tables")
    page = watched.open(site / "compare.html", f"#r={one},{'0' * 12}")
    assert page.text_content("#status") == "1 of the picked records are not on this site."


def test_compare_ignores_what_is_no_record(watched, site):
    page = watched.open(site / "compare.html", "#r=../../etc/passwd,000000000000,<b>x</b>&task=<script>")
    assert page.text_content("#status").startswith("Choose records")
    assert page.query_selector("#tables table") is None


def test_dark_mode_follows_the_system_and_the_button(browser, site, records):
    for name in ("index.html", f"records/{slug(records[1][0])}.html"):
        found = {}
        for scheme in ("light", "dark"):
            made = Watched(browser, color_scheme=scheme)
            page = made.open(site / name)
            colour = "() => getComputedStyle(document.body).backgroundColor"
            found[scheme] = page.evaluate(colour)
            page.click("#theme")
            found[f"{scheme} switched"] = page.evaluate(colour)
            assert made.close() == []
        assert found["light"] == found["dark switched"] == "rgb(255, 255, 255)"
        assert found["dark"] == found["light switched"] != "rgb(255, 255, 255)"


def test_keyboard_alone(watched, site):
    page = watched.open(site / "records.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "document.activeElement.name || document.activeElement.dataset.sort || document.activeElement.id || document.activeElement.textContent"
            )
        )
    assert {"task", "model", "lang", "q", "selectivity", "theme"} <= set(seen)
    page.focus("[name=model]")
    page.keyboard.type("synthetic/large")
    page.keyboard.press("Tab")
    assert "model=synthetic%2Flarge" in address(page)
    page.focus("#board tbody input")
    page.keyboard.press("Space")
    page.focus("#go")
    page.keyboard.press("Enter")
    page.wait_for_selector("#chosen li")


PAGES = [
    "index.html",
    "records.html",
    "compare.html",
    "methods.html",
    "detectors/index.html",
    "models/index.html",
    "findings/index.html",
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessibility(browser, site, records, scheme):
    from axe_playwright_python.sync_playwright import Axe

    one, two = slug(records[1][0]), slug(records[1][3])
    pages = [*PAGES, f"records/{one}.html", f"records/{two}.html", "detectors/synthetic-alpha.html"]
    for name, fragment in [*((page, "") for page in pages), ("compare.html", f"#r={one},{two}")]:
        made = Watched(browser, color_scheme=scheme)
        page = made.open(site / name, fragment)
        page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        found = Axe().run(page).response["violations"]
        serious = [(v["id"], v["nodes"][0]["html"][:200]) for v in found if v["impact"] in {"serious", "critical"}]
        assert serious == [], name
        made.close()


def test_narrow_screens_and_print(browser, site, records):
    made = Watched(browser, viewport={"width": 380, "height": 700})
    for name in ("index.html", "records.html", f"records/{slug(records[1][3])}.html", "methods.html"):
        page = made.open(site / name)
        assert page.evaluate("document.documentElement.scrollWidth") <= 380, name
    page.emulate_media(media="print")
    assert not page.is_visible(".top")
    assert len(page.pdf()) > 10_000
    assert made.close() == []


def test_the_report_is_one_file_that_needs_nothing(browser, records, tmp_path):
    record = records[1][3]
    path = tmp_path / "records" / "report.html"
    path.parent.mkdir()
    path.write_text(html_report(record), encoding="utf-8")
    made = Watched(browser, offline=True)
    page = made.open(path)
    assert page.query_selector("figure svg") is not None
    assert len(page.query_selector_all("td.c")) == len(record.cells)
    assert page.eval_on_selector_all("[src], link[rel=stylesheet]", "all => all.length") == 0
    assert made.close() == []
