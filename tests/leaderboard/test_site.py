"""The built site in a real browser, from the disk: what is shown is what the records say, and everything can be reached."""

import csv
import io
import json
import re
import shutil

import pytest
from browser import Watched, launched
from synthetic_records import LANGUAGES, synthetic_record
from synthetic_runs import synthetic_run

from nharness_leaderboard.report import html_report
from nharness_leaderboard.results import place
from nharness_leaderboard.site.build import build_site

pytestmark = pytest.mark.browser
MINUS = "\N{MINUS SIGN}"


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Two records with items on one model, four without on two more."""
    root = tmp_path_factory.mktemp("results")
    made = []
    for seed, name in ((1, "alpha"), (2, "beta")):
        folder = root / "new"
        record = synthetic_run(folder, seed=seed, detector=f"synthetic-{name}", strength=0.1 * seed)
        (root / place(record)).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder, root / place(record))
        made.append(record)
    for seed in range(3, 7):
        record = synthetic_record(
            seed=seed, detector=f"synthetic-{'gamma' if seed % 2 else 'delta'}", languages=LANGUAGES[:5],
            model_name="synthetic/large" if seed < 5 else "synthetic/small", strength=0.05 * seed,
            budget=0.001 if seed == 4 else None, badge="reproduced" if seed == 5 else "self-reported",
        )  # fmt: skip
        folder = root / place(record)
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(json.dumps(record.document()))
        made.append(record)
    return root, made


@pytest.fixture(scope="module")
def site(records, tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    built = build_site(records[0], out)
    assert built.refused == {}
    return out


@pytest.fixture(scope="module")
def browser():
    with launched() as found:
        yield found


@pytest.fixture
def watched(browser):
    made = Watched(browser, accept_downloads=True)
    yield made
    assert made.close() == []


def slug(record):
    return record.identity.id[:12]


def address(page):
    return page.evaluate("location.href")


def shown_ids(page):
    return page.eval_on_selector_all("#board tr[data-id]", "rows => rows.map(row => row.dataset.id)")


def test_board_shows_every_record_best_first_within_its_set(watched, site, records):
    page = watched.open(site / "index.html")
    ids = shown_ids(page)
    assert sorted(ids) == sorted(slug(r) for r in records[1])
    values = {slug(r): r.summary[0].selectivity.value for r in records[1]}
    for body in page.query_selector_all("#board tbody"):
        mine = [values[i] for i in body.eval_on_selector_all("tr[data-id]", "rows => rows.map(row => row.dataset.id)")]
        assert mine == sorted(mine, reverse=True)
    first = page.text_content(f"tr[data-id='{ids[0]}']")
    assert f"+{values[ids[0]]:.3g}" in first


def test_sorting_by_mouse_and_keyboard(watched, site):
    page = watched.open(site / "index.html")
    page.click("[data-sort=neurons]")
    header = page.locator("th", has=page.locator("[data-sort=neurons]"))
    assert header.get_attribute("aria-sort") == "descending"
    page.keyboard.press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"
    assert "sort=neurons" in address(page)
    page.focus("[data-sort=detector]")
    page.keyboard.press("Space")
    names = page.eval_on_selector_all("#board tbody:first-of-type td.name a", "links => links.map(link => link.textContent)")
    assert names == sorted(names)


def test_filters_and_their_state_in_the_url(watched, site, records):
    page = watched.open(site / "index.html")
    page.select_option("[name=model]", "synthetic/large")
    wanted = {slug(r) for r in records[1] if r.model.name == "synthetic/large"}
    assert set(shown_ids(page)) == wanted
    page.select_option("[name=budget]", "0.001")
    page.select_option("[name=lang]", "zh")
    page.fill("[name=q]", "DELTA synthetic")
    url = address(page)
    assert {"model=synthetic%2Flarge", "budget=0.001", "lang=zh", "q=DELTA+synthetic"} <= set(url.split("#")[1].split("&"))
    before = shown_ids(page)
    assert len(before) == 1
    record = next(r for r in records[1] if slug(r) == before[0])
    row = next(row for row in record.summary[0].rows if row.language == "zh")
    assert f"{row.selectivity.value:+.3g}".replace("-", MINUS) in page.text_content(".sel b")
    page.goto("about:blank")
    page.goto(url)
    page.wait_for_selector("html[data-ready]", state="attached")
    assert shown_ids(page) == before
    assert page.input_value("[name=q]") == "DELTA synthetic"
    page.click("text=Reset filters")
    page.wait_for_function("() => document.querySelectorAll('#board tr[data-id]').length === 6")
    page.goto(url.split("#")[0] + "#task=nonsense&sort=evil&lang=%3Cscript%3E")
    assert len(shown_ids(page)) == 6


def test_every_filter_has_an_effect_or_one_value(watched, site):
    page = watched.open(site / "index.html")
    for name in ("task", "model", "detector", "intervention", "kinds", "budget", "badge"):
        values = page.eval_on_selector_all(f"[name={name}] option", "options => options.map(o => o.value).filter(Boolean)")
        counts = []
        for value in values:
            page.select_option(f"[name={name}]", value)
            counts.append(len(shown_ids(page)))
        assert all(counts), name
        assert len(values) == 1 or name == "task" or sum(counts) == 6, name
        page.select_option(f"[name={name}]", index=0)


def test_downloads_hold_what_is_shown(watched, site, records):
    page = watched.open(site / "index.html", "#model=synthetic%2Flarge")
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
            assert ("*" in text) == (cell.q < 0.05)
            assert abs(float(re.match(r"[+−]?[\d.]+", text)[0].replace(MINUS, "-")) - harm) <= 0.0005
            assert float(shade.rstrip("%")) == pytest.approx(100 * abs(harm) / largest, abs=0.51)


def test_charts_are_drawn_with_tables_behind_them(watched, site, records):
    record = records[1][3]
    page = watched.open(site / "records" / f"{slug(record)}.html")
    figures = page.eval_on_selector_all("figure[data-chart]", "all => all.map(f => [f.id, f.querySelectorAll('svg path').length])")
    assert {"curve-ppl-budget", "controls-ppl", "kinds-all", "language-layers", "overlap"} <= {name for name, _ in figures}
    assert all(paths > 2 for _, paths in figures)
    rows = page.eval_on_selector_all("#language-layers tbody tr", "rows => rows.map(r => Array.from(r.cells).map(c => c.textContent))")
    expected = [
        [tag, str(layer), str(count)] for tag in record.languages for layer, count in enumerate(record.neurons.layers.languages[tag])
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
    assert page.text_content("#command") == record.identity.command
    links = page.eval_on_selector_all(".downloads a", "links => links.map(link => link.getAttribute('href'))")
    assert {link.rsplit("/", 1)[1] for link in links} >= {"record.json", "cells.csv", "items.jsonl", "neurons.safetensors"}
    for link in links:
        assert (site / "records" / link).resolve().is_file()
    assert json.loads((site / "records" / links[0]).resolve().read_text()) == record.document()


def test_every_link_of_every_page_leads_somewhere(site):
    for path in site.rglob("*.html"):
        for link in re.findall(r'(?:href|src)="([^"]*)"', path.read_text(encoding="utf-8")):
            target = link.split("#")[0].split("?")[0]
            if target and not target.startswith("data:"):
                assert (path.parent / target).resolve().is_file(), (path.name, link)


def test_compare_pairs_records_with_items(watched, site, records):
    from nharness_leaderboard.paired import difference, influences

    one, two = records[1][:2]
    page = watched.open(site / "index.html")
    for record in (one, two):
        page.check(f"tr[data-id='{slug(record)}'] input")
    page.click("#go")
    page.wait_for_selector("#differences [data-difference]")
    expected = difference(*(influences(r, records[0] / place(r))["ppl"] for r in (one, two)))
    text = page.text_content("#differences tbody")
    assert float(page.get_attribute("#differences [data-difference]", "data-difference")) == pytest.approx(expected.value)
    low, high = (f"{end:+.3g}".replace("-", MINUS)[:5] for end in expected.interval)
    assert low in text
    assert high in text
    assert "paired" in text
    assert "unpaired" not in text
    matrices = page.query_selector_all("table.heat")
    assert len(matrices) == 3
    values = matrices[2].eval_on_selector_all("td.c", "cells => cells.map(c => Number(c.dataset.value))")
    assert values == pytest.approx([a.change - b.change for a, b in zip(one.cells, two.cells, strict=True)])
    other = records[1][4]
    page.select_option("#add [name=record]", slug(other))
    page.click("#add button")
    page.wait_for_function("() => document.querySelectorAll('table.heat').length === 3 && document.querySelectorAll('#chosen li').length === 3")
    assert "not comparable" in page.text_content("#differences")
    assert slug(other) in address(page)


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
    page = watched.open(site / "index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.name || document.activeElement.dataset.sort || document.activeElement.id || document.activeElement.textContent"))
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


PAGES = ["index.html", "compare.html", "methods.html", "detectors/index.html", "models/index.html"]


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
    for name in ("index.html", f"records/{slug(records[1][3])}.html", "methods.html"):
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
