"""The front page without JavaScript: every number is the record's, at every width, in both themes, on paper."""

import json
import shutil
from types import SimpleNamespace

import pytest

from browser import slug
from narrowing import present
from nharness_leaderboard.ranks import resampled_headlines, standings
from nharness_leaderboard.results import place, read_results
from nharness_leaderboard.site.build import build_site
from nharness_leaderboard.site.shown import shown_sets
from synthetic_runs import synthetic_run

pytestmark = pytest.mark.browser


LEAKS = {"clean": 0.02, "cleaner": 0.04, "middling": 0.3, "leaky": 0.6, "random": 1.0}
MODELS = {"synthetic/large": 135_000_000, "synthetic/toy": 2_000_000}


@pytest.fixture(scope="module")
def ranked(tmp_path_factory):
    """A site of five detectors with ladders on two models, and one record at a budget alone."""
    root = tmp_path_factory.mktemp("ranked")
    results, made = root / "results", []
    for number, (model, parameters) in enumerate(MODELS.items()):
        for seed, (name, leak) in enumerate(LEAKS.items()):
            share = LEAKS["leaky"] if number and name == "clean" else leak
            plain = synthetic_run(
                root / "new", seed=10 * number + seed, documents=44, leak=share, detector=name, model_name=model
            )
            record = plain.model_copy(
                update={"model": plain.model.model_copy(update={"parameters": parameters})}
            ).with_id()
            (root / "new" / "record.json").write_text(json.dumps(record.document()))
            (results / place(record)).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(root / "new", results / place(record))
            made.append(record)
    point = synthetic_run(root / "new", seed=99, detector="point", model_name="synthetic/large", budget=0.01)
    (results / place(point)).parent.mkdir(parents=True, exist_ok=True)
    shutil.move(root / "new", results / place(point))
    assert build_site(results, root / "site").refused == {}
    return SimpleNamespace(site=root / "site", results=results, records=made, point=point)


@pytest.fixture
def ranked_page(browser, ranked):
    """The ranked front page in a browser without JavaScript."""
    made = browser.new_context(java_script_enabled=False, viewport={"width": 1440, "height": 900})
    page = made.new_page()
    page.set_default_timeout(240_000)
    page.goto(f"file://{ranked.site / 'index.html'}")
    yield page
    made.close()


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
    assert "points at one budget: in order of selectivity, unranked" in text
    assert "Read with care" in text


def numbers(page, selector, name):
    return page.eval_on_selector_all(selector, f"all => all.map(each => each.dataset.{name})")


def test_the_ranking_and_all_its_numbers_are_the_records_without_javascript(ranked_page, ranked):
    by_slug = {slug(record): record for record in ranked.records}
    found = read_results(ranked.results)
    placed = standings(found.entries, resampled_headlines(found.entries))
    rows = ranked_page.query_selector_all(".fronttable tbody tr")
    shown = [by_slug[row.get_attribute("data-id")] for row in rows]
    assert {record.model.name for record in shown} == {"synthetic/large"}
    values = [record.headline.estimate.value for record in shown]
    assert values == sorted(values, reverse=True)
    assert {record.detector.name for record in shown} == set(LEAKS)
    for row, record in zip(rows, shown, strict=True):
        kept = row.query_selector("[data-name=kept]")
        assert float(kept.get_attribute("data-value")) == record.headline.estimate.value
        low, high = record.headline.estimate.interval
        assert f"{record.headline.estimate.value:.2f}{low:.2f}\N{EN DASH}{high:.2f}" in kept.text_content()
        rank = row.query_selector("[data-name=rank]").text_content()
        assert rank == (present(placed.of(slug(record))).interval or "\N{EN DASH}")
        for cell in row.query_selector_all("td.c"):
            part = record.headline.languages[cell.get_attribute("data-tag")]
            assert float(cell.get_attribute("data-kept")) == part.kept
            assert cell.query_selector(".k").text_content() == f"{part.kept:.2f}"
            assert f"keeps {part.kept:.2f} at" in cell.get_attribute("data-note")
        summary = record.summary_of("ppl")
        assert float(row.query_selector("[data-name=own]").get_attribute("data-value")) == summary.on_target.value
    assert shown[-1].detector.name == "random"
    lines = ranked_page.query_selector_all("svg .line[data-shares]")
    for line, record in zip(lines, shown, strict=True):
        for value, name in zip(line.get_attribute("data-shares").split(","), ("at_5", "kept", "at_25"), strict=True):
            parts = [getattr(part, name) for part in record.headline.languages.values()]
            assert float(value) == pytest.approx(sum(parts) / len(parts), rel=1e-9)


def test_the_compare_page_has_the_boards_ranks_and_differences(watched, ranked):
    held = [record for record in ranked.records if record.model.name == "synthetic/large"]
    found = read_results(ranked.results)
    placed = standings(found.entries, resampled_headlines(found.entries))
    one, two = slug(held[0]), slug(held[3])
    page = watched.open(ranked.site / "compare.html", f"#r={one},{two},{slug(ranked.point)}")
    shown = float(page.get_attribute("#ranking [data-kept-difference]", "data-kept-difference"))
    assert shown == pytest.approx(present(placed.difference(one, two))[0], rel=1e-4)
    text = page.text_content("#ranking")
    for part in (present(placed.of(one)).text, "told apart", "measured at one budget", "not ranked together"):
        assert part in text, part


def test_the_slope_chart_is_of_both_orders_and_the_rest_is_below_unranked(ranked_page, ranked):
    orders = {}
    for model in MODELS:
        held = [record for record in ranked.records if record.model.name == model]
        held.sort(key=lambda record: -record.headline.estimate.value)
        orders[model] = [record.detector.name for record in held]
    first, second = orders.values()
    drawn = ranked_page.eval_on_selector_all("svg [data-places]", "all => all.map(each => each.dataset.places)")
    assert drawn == [f"{first.index(name) + 1},{second.index(name) + 1}" for name in first]
    gaps = sum((first.index(name) - second.index(name)) ** 2 for name in first)
    assert f"Spearman {1 - 6 * gaps / (5 * 24):.2f} with synthetic/toy" in ranked_page.text_content("main")
    assert "an embedded toy of 2.0 M parameters" in ranked_page.text_content(".strip")
    older = ranked_page.text_content("section[aria-labelledby=older]")
    assert "point" in older
    assert "unranked" in older
    caution = ranked_page.text_content(".caution")
    assert "no detection was repeated" in caution
    assert f"All {len(first)} detectors are measured on synthetic/toy too; their orders agree at Spearman" in caution
    assert "count as 0" in caution or "one neuron" in caution or "Spearman" in caution


def test_cells_switch_between_kept_share_and_harm_without_javascript(ranked_page):
    assert ranked_page.is_visible("td.c .k >> nth=0")
    assert not ranked_page.is_visible("td.c .h >> nth=0")
    ranked_page.check("#show-harm")
    assert ranked_page.is_visible("td.c .h >> nth=0")
    assert not ranked_page.is_visible("td.c .k >> nth=0")


def test_a_column_sorts_by_what_its_cells_show_and_the_third_click_restores_the_ranking(watched, ranked):
    page = watched.open(ranked.site / "index.html")

    def order():
        return page.eval_on_selector_all(".fronttable tbody tr", "rows => rows.map(row => row.dataset.id)")

    def shown(column, name):
        return page.eval_on_selector_all(
            f".fronttable tbody {column}", f"cells => cells.map(c => Number(c.dataset.{name}))"
        )

    first = order()
    head = page.locator(".fronttable thead th", has_text="Leaked")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    leaked = shown("[data-name=leaked]", "value")
    assert leaked == sorted(leaked, reverse=True)
    assert order() != first
    page.keyboard.press("Enter")
    assert shown("[data-name=leaked]", "value") == sorted(leaked)
    page.keyboard.press("Enter")
    assert order() == first
    tag = page.get_attribute(".fronttable td.c", "data-tag")
    page.locator(".fronttable thead th", has=page.locator("abbr", has_text=tag)).locator("button").click()
    kept = shown(f"td.c[data-tag={tag}]", "kept")
    assert kept == sorted(kept, reverse=True)
    page.check("#show-harm")
    harm = shown(f"td.c[data-tag={tag}]", "value")
    assert harm == sorted(harm, reverse=True)


def test_a_set_that_compares_little_comes_after_one_that_compares_much(ranked):
    """Real models go first, but not with two detectors before a toy with five."""
    entries = read_results(ranked.results).entries
    few = [
        e for e in entries if e.record.model.name != "synthetic/large" or e.record.detector.name in {"clean", "random"}
    ]
    assert [each.model.model.name for each in shown_sets(entries)] == ["synthetic/large", "synthetic/toy"]
    assert [each.model.model.name for each in shown_sets(few)] == ["synthetic/toy", "synthetic/large"]


def test_the_table_prints_whole_on_a4(browser, ranked, site):
    made = browser.new_context(viewport={"width": 1047, "height": 718})  # A4 landscape less 10 mm, in CSS pixels
    page = made.new_page()
    page.set_default_timeout(240_000)
    for folder in (ranked.site, site):
        page.goto(f"file://{folder / 'index.html'}")
        page.emulate_media(media="print")
        clipped = page.evaluate(
            "() => [...document.querySelectorAll('table, figure svg')]"
            ".filter(each => each.getBoundingClientRect().right > 1048).map(each => each.className)"
        )
        assert clipped == []
        assert page.evaluate("getComputedStyle(document.querySelector('.front')).maxHeight") == "none"
        assert page.pdf(format="A4", prefer_css_page_size=True).startswith(b"%PDF")
    made.close()


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_the_ranked_page_fits_the_screen_and_keeps_its_header_in_view(browser, ranked, width):
    for scheme in ("light", "dark"):
        made = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 500})
        page = made.new_page()
        page.set_default_timeout(240_000)
        page.goto(f"file://{ranked.site / 'index.html'}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.evaluate("document.querySelector('.fronttable tbody tr:last-child').scrollIntoView({block: 'end'})")
        head = page.evaluate("document.querySelector('.fronttable thead th').getBoundingClientRect().top")
        assert 0 <= head < 500
        made.close()


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


def test_detector_and_model_pages_say_what_they_are_and_where_they_lie(browser, ranked):
    made = browser.new_context(java_script_enabled=False)
    page = made.new_page()
    page.set_default_timeout(240_000)
    page.goto(f"file://{ranked.site / 'detectors' / 'random.html'}")
    text = page.text_content("main")
    for part in (
        "random neurons matched to a reference detection",
        "How it finds neurons",
        "nharness_detectors.random:",
    ):
        assert part in text, part
    held = {record.headline.estimate.value for record in ranked.records if record.detector.name == "random"}
    assert {float(value) for value in numbers(page, "[data-kept]", "kept")} == held
    page.goto(f"file://{next((ranked.site / 'models').glob('synthetic-large*.html'))}")
    text = page.text_content("main")
    model = next(record.model for record in ranked.records if record.model.name == "synthetic/large")
    for part in ("Checkpoint", "Revision", model.fingerprint, model.tokenizer_fingerprint):
        assert part in text, part
    assert len(numbers(page, "[data-kept]", "kept")) == len(LEAKS)
    made.close()
