"""A thousand records: the site is built, and its board shows the first rows, finds, and shows all when asked.

How long that takes is measured by `tests/bench/bench_site.py`.
"""

import json

import pytest

from browser import Watched
from nharness.record.model import Record
from nharness_leaderboard.results import place
from nharness_leaderboard.site.build import build_site
from synthetic_records import LANGUAGES, synthetic_record

RECORDS = 1000


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    write_records(root)
    return root


def write_records(root):
    """Write a thousand synthetic records, of ten contents, into a results folder."""
    kinds = [
        synthetic_record(
            seed=seed, languages=LANGUAGES[:8], layers=12, draws=5, accuracy=seed % 2 == 0, strength=0.03 * (seed + 1)
        )
        for seed in range(10)
    ]
    for number in range(RECORDS):
        base = kinds[number % 10]
        record: Record = base.model_copy(
            update={
                "detector": base.detector.model_copy(
                    update={"name": f"synthetic-{number % 25}", "options": {"number": number}}
                ),
                "model": base.model.model_copy(update={"name": f"synthetic/model-{number // 25 % 8}"}),
            }
        ).with_id()
        folder = root / place(record)
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(json.dumps(record.document()))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.browser
def test_a_thousand_records(results, tmp_path, browser):
    built = build_site(results, tmp_path / "site")
    assert built.records == RECORDS
    watched = Watched(browser)
    page = watched.open(tmp_path / "site" / "records.html")
    assert page.eval_on_selector_all("#board tr[data-id]", "rows => rows.length") == 100
    page.fill("[name=q]", "synthetic-7 model-3")
    assert page.text_content("#count").startswith("5 of 1000 records")
    page.fill("[name=q]", "")
    page.click("#more")
    assert page.eval_on_selector_all("#board tr[data-id]", "rows => rows.length") == RECORDS
    assert watched.close() == []
