"""The badge that the board shows is earned by the reproduction beside a record, whatever the record says of itself."""

import json
import re

from browser import slug
from narrowing import present


def page_of(site, record):
    return (site / "records" / f"{slug(record)}.html").read_text()


def test_a_badge_is_shown_where_a_reproduction_earned_it_and_nowhere_else(site, records):
    for record in records[1]:
        text = page_of(site, record)
        (badge,) = re.findall(r'<span class="badge ([a-z-]+)"', text)
        folder = next(path.parent for path in records[0].rglob("record.json") if slug(record) == path.parent.name)
        beside = folder / "reproduction.json"
        found = json.loads(beside.read_text()) if beside.exists() else None
        assert badge == ("reproduced" if found and found["verdict"] == "reproduced" else "self-reported")
        assert ("Made again" in text) == (found is not None)
        if found:
            assert f"{found['verdict']} on 2026-11-20: 98 of 100 items identical, {found['beyond']} beyond" in text
            assert json.loads((site / "data" / slug(record) / "reproduction.json").read_text()) == found
    claimed = [record for record in records[1] if record.identity.badge == "reproduced"]
    assert len(claimed) == 2  # one of them has nothing beside it


def test_the_front_page_counts_the_reproduced_of_its_records(site):
    pages = [path.read_text() for path in [site / "index.html", *site.glob("board-*.html")]]
    counts = [present(re.search(r"<b>(\d+) of (\d+)</b> reproduced", page)) for page in pages]
    assert all(
        page.count('aria-label="reproduced"') == int(found[1]) for page, found in zip(pages, counts, strict=True)
    )
