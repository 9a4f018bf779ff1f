"""The badge that the board shows is earned by the reproduction beside a record, whatever the record says of itself."""

import json
import re

import pytest

from browser import slug
from narrowing import present
from nharness.record.reproduction import Reproduction
from nharness.record.sources import NharnessSource, Source
from nharness_leaderboard.site.view import made_by
from synthetic_records import synthetic_record


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
            assert re.search(r"; (source unknown|by (the same|other) source[^,<]*), in the same environment", text)
            assert json.loads((site / "data" / slug(record) / "reproduction.json").read_text()) == found
    claimed = [record for record in records[1] if record.identity.badge == "reproduced"]
    assert len(claimed) == 2  # one of them has nothing beside it


def test_the_front_page_counts_the_reproduced_of_its_records(site):
    pages = [path.read_text() for path in [site / "index.html", *site.glob("board-*.html")]]
    counts = [present(re.search(r"<b>(\d+) of (\d+)</b> reproduced", page)) for page in pages]
    assert all(
        page.count('aria-label="reproduced"') == int(found[1]) for page, found in zip(pages, counts, strict=True)
    )


def source(letter):
    return Source(nharness=NharnessSource(version="0.1.0", digest=letter * 64, modified=None), plugins=())


@pytest.mark.parametrize(
    ("first", "second", "changed", "words"),
    [
        ("a", "a", (), "by the same source, in the same environment"),
        ("a", "b", (), "by other source (bbbbbbbbbbbb), in the same environment"),
        ("a", "b", ("torch",), "by other source (bbbbbbbbbbbb), in another environment: torch"),
        (None, "b", (), "source unknown, in the same environment"),
    ],
)
def test_how_independent_a_reproduction_is_stands_beside_it(first, second, changed, words):
    record = synthetic_record()
    made = record.identity.model_copy(update={"source": None if first is None else source(first)})
    found = Reproduction(
        record=record.identity.id,
        verdict="reproduced",
        created="2026-11-20T09:10:05Z",
        items=1,
        identical=1,
        beyond=0,
        absent=0,
        source=source(second),
        environment=record.environment,
        environment_changes=changed,
    )
    assert made_by(record.model_copy(update={"identity": made}), found) == words
