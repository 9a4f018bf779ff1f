"""The board and the record pages in a real browser, from the disk: what is shown is what the records say."""

import csv
import io
import json
import re

import pytest

from browser import address, slug
from narrowing import present
from nharness.record.specification import command
from nharness_leaderboard.site.about import repository

pytestmark = pytest.mark.browser
MINUS = "\N{MINUS SIGN}"


def shown_ids(page):
    return page.eval_on_selector_all("#board tr[data-id]", "rows => rows.map(row => row.dataset.id)")


def test_board_shows_every_record_best_first_within_its_set(watched, site, records):
    page = watched.open(site / "records.html")
    ids = shown_ids(page)
    assert sorted(ids) == sorted(slug(r) for r in records[1])
    values = {slug(r): r.summary[0].selectivity.value if r.summary[0].selectivity else 0 for r in records[1]}
    for body in page.query_selector_all("#board tbody"):
        mine = [values[i] for i in body.eval_on_selector_all("tr[data-id]", "rows => rows.map(row => row.dataset.id)")]
        assert mine == sorted(mine, reverse=True)
    first = page.text_content(f"tr[data-id='{ids[0]}']")
    assert f"+{values[ids[0]]:.4f}" in first


def test_sorting_by_mouse_and_keyboard(watched, site):
    page = watched.open(site / "records.html")
    page.click("[data-sort=neurons]")
    header = page.locator("th", has=page.locator("[data-sort=neurons]"))
    assert header.get_attribute("aria-sort") == "descending"
    page.keyboard.press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"
    assert "sort=neurons" in address(page)
    page.focus("[data-sort=detector]")
    page.keyboard.press("Space")
    names = page.eval_on_selector_all(
        "#board tbody:first-of-type td.name a", "links => links.map(link => link.textContent)"
    )
    assert names == sorted(names)


def test_filters_and_their_state_in_the_url(watched, site, records):
    page = watched.open(site / "records.html")
    page.select_option("[name=model]", "synthetic/large")
    wanted = {slug(r) for r in records[1] if r.model.name == "synthetic/large"}
    assert set(shown_ids(page)) == wanted
    page.select_option("[name=budget]", "0.001")
    page.select_option("[name=lang]", "zh")
    page.fill("[name=q]", "DELTA synthetic")
    url = address(page)
    assert {"model=synthetic%2Flarge", "budget=0.001", "lang=zh", "q=DELTA+synthetic"} <= set(
        url.split("#")[1].split("&")
    )
    before = shown_ids(page)
    assert len(before) == 1
    record = next(r for r in records[1] if slug(r) == before[0])
    row = next(row for row in record.summary[0].rows if row.language == "zh")
    assert page.text_content(".sel b") == f"{row.selectivity.value:+.4f}".replace("-", MINUS)
    page.goto("about:blank")
    page.goto(url)
    page.wait_for_selector("html[data-ready]", state="attached")
    assert shown_ids(page) == before
    assert page.input_value("[name=q]") == "DELTA synthetic"
    page.click("text=Reset filters")
    page.wait_for_function("() => document.querySelectorAll('#board tr[data-id]').length === 7")
    page.goto(url.split("#")[0] + "#task=nonsense&sort=evil&lang=%3Cscript%3E")
    assert len(shown_ids(page)) == 7


def test_every_filter_has_an_effect_or_one_value(watched, site):
    page = watched.open(site / "records.html")
    for name in ("task", "model", "detector", "intervention", "kinds", "budget", "badge"):
        values = page.eval_on_selector_all(
            f"[name={name}] option", "options => options.map(o => o.value).filter(Boolean)"
        )
        counts = []
        for value in values:
            page.select_option(f"[name={name}]", value)
            counts.append(len(shown_ids(page)))
        assert all(counts), name
        assert len(values) == 1 or name == "task" or sum(counts) == 7, name
        page.select_option(f"[name={name}]", index=0)


def test_sets_hold_what_is_alike_and_say_it(watched, site, records):
    page = watched.open(site / "records.html")
    heads = page.eval_on_selector_all("#board tbody th", "heads => heads.map(head => head.textContent)")
    assert any("0.1\u202f% of neurons per language" in head for head in heads)
    assert any("general only" in head for head in heads)
    ids = page.eval_on_selector_all(
        "#board tbody",
        "all => all.map(body => Array.from(body.querySelectorAll('tr[data-id]')).map(row => row.dataset.id))",
    )
    by_id = {slug(r): r for r in records[1]}
    for members in ids:
        alike = {
            (by_id[i].model.name, by_id[i].intervention.name, by_id[i].selection.budget, by_id[i].selection.kinds)
            for i in members
        }
        assert len(alike) == 1
    general = next(r for r in records[1] if r.selection.kinds == ("general",))
    harm = sum(c.change for c in general.cells if c.task == "ppl") / len(general.languages)
    assert f"{harm:+.4f} harm to all".replace("-", MINUS) in page.text_content(f"tr[data-id='{slug(general)}']")


def test_one_list_sorts_by_what_sets_hold_apart(watched, site, records):
    page = watched.open(site / "records.html", "#view=list")
    assert len(page.query_selector_all("#board tbody")) == 1
    for column, text in (("model", lambda r: r.model.name), ("kinds", lambda r: "+".join(r.selection.kinds))):
        page.click(f"[data-sort={column}]")
        by_id = {slug(r): text(r) for r in records[1]}
        shown = [by_id[i] for i in shown_ids(page)]
        assert shown == sorted(shown)
    page.click("[data-sort=budget]")
    assert slug(next(r for r in records[1] if r.selection.budget)) == shown_ids(page)[0]
    assert "view=list" in address(page)


def test_accuracy_truth_and_cost_are_the_records(watched, site, records):
    page = watched.open(site / "records.html")
    for record in records[1][2:6]:
        cells = page.eval_on_selector_all(
            f"tr[data-id='{slug(record)}'] td", "cells => cells.map(cell => cell.textContent)"
        )
        lost = 100 * record.summary[1].on_target.value
        assert abs(float(cells[7].replace(MINUS, "-")) - lost) <= 0.05 * abs(lost)
        truth = record.ground_truth[0].auroc if record.ground_truth else None
        assert cells[8] == ("\N{EN DASH}" if truth is None else f"{truth:.3f}")
        assert cells[9:] == [str(record.neurons.selected), "240\u202fk", "26\u202fs"]


def test_downloads_hold_what_is_shown(watched, site, records):
    page = watched.open(site / "records.html", "#model=synthetic%2Flarge")
    with page.expect_download() as caught:
        page.click("[data-save=csv]")
    rows = list(csv.DictReader(io.StringIO(caught.value.path().read_text())))
    assert {row["id"] for row in rows} == {slug(r) for r in records[1] if r.model.name == "synthetic/large"}
    with page.expect_download() as caught:
        page.click("[data-save=json]")
    document = json.loads(caught.value.path().read_text())
    assert [row["id"] for row in document] == [row["id"] for row in rows]
    with page.expect_download() as caught:
        page.click("[data-save=tex]")
    assert caught.value.path().read_text().count(r" \\") == len(rows) + 1


@pytest.mark.parametrize("number", [0, 3])
def test_heat_map_is_the_record(watched, site, records, number):
    record = records[1][number]
    page = watched.open(site / "records" / f"{slug(record)}.html")
    for task in record.tasks:
        sign = 1 if task.direction == "lower" else -1
        cells = [cell for cell in record.cells if cell.task == task.name]
        found = page.eval_on_selector_all(
            f"table.heat[data-task='{task.name}'] td.c",
            "cells => cells.map(c => [Number(c.dataset.value), c.className, c.textContent, c.style.getPropertyValue('--v')])",
        )
        assert len(found) == len(cells)
        largest = max(abs(cell.change) for cell in cells)
        for cell, (value, classes, text, shade) in zip(cells, found, strict=True):
            harm = sign * cell.change
            assert value == harm
            assert ("harm" in classes.split()) == (harm >= 0)
            assert ("own" in classes.split()) == (cell.target == cell.language)
            assert ("*" in text) == (
                cell.q is not None and cell.q < 0.05 and (cell.control is None or cell.control.q < 0.05)
            )
            assert abs(float(present(re.match(r"[+−]?[\d.]+", text))[0].replace(MINUS, "-")) - harm) <= 0.0005
            assert float(shade.rstrip("%")) == pytest.approx(100 * abs(harm) / largest, abs=0.51)


def test_charts_are_drawn_with_tables_behind_them(watched, site, records):
    record = records[1][3]
    page = watched.open(site / "records" / f"{slug(record)}.html")
    figures = page.eval_on_selector_all(
        "figure[data-chart]", "all => all.map(f => [f.id, f.querySelectorAll('svg path').length])"
    )
    assert {"curve-ppl-budget", "controls-ppl", "kinds-all", "language-layers", "overlap"} <= {
        name for name, _ in figures
    }
    assert all(paths > 2 for _, paths in figures)
    rows = page.eval_on_selector_all(
        "#language-layers tbody tr", "rows => rows.map(r => Array.from(r.cells).map(c => c.textContent))"
    )
    expected = [
        [tag, str(layer), str(count)]
        for tag in record.languages
        for layer, count in enumerate(record.neurons.layers.languages[tag])
    ]
    assert rows == expected
    with page.expect_download() as caught:
        page.click("#overlap [data-image=svg]")
    assert b"<svg" in caught.value.path().read_bytes()
    with page.expect_download() as caught:
        page.click("[data-matrix=tex] >> nth=0")
    assert caught.value.path().read_text().count(r" \\") == len(record.targets) + 1


def test_record_page_says_how_to_make_it_again_and_its_files_are_there(watched, site, records):
    record = records[1][0]
    page = watched.open(site / "records" / f"{slug(record)}.html")
    assert page.text_content("#command") == command(record)  # made from its fields, never the stored text
    links = page.eval_on_selector_all(".downloads a", "links => links.map(link => link.getAttribute('href'))")
    assert {link.rsplit("/", 1)[1] for link in links} >= {
        "record.json",
        "cells.csv",
        "items.jsonl",
        "neurons.safetensors",
    }
    for link in links:
        assert (site / "records" / link).resolve().is_file()
    assert json.loads((site / "records" / links[0]).resolve().read_text()) == record.document()


def test_every_link_of_every_page_leads_somewhere(site):
    for path in site.rglob("*.html"):
        for link in re.findall(r'(?:href|src)="([^"]*)"', path.read_text(encoding="utf-8")):
            target = link.split("#")[0].split("?")[0]
            if target.startswith("https:"):
                assert target == repository() or target.startswith("https://arxiv.org/abs/"), (path.name, link)
            elif target and not target.startswith("data:"):
                assert (path.parent / target).resolve().is_file(), (path.name, link)
