"""Synthetic records, a site built of them and a browser to open it."""

import json
import shutil

import pytest

from browser import Watched
from nharness.record.reproduction import Reproduction
from nharness_leaderboard.results import place
from nharness_leaderboard.site.build import build_site
from synthetic_records import LANGUAGES, synthetic_record
from synthetic_runs import synthetic_run


@pytest.fixture(scope="session")
def records(tmp_path_factory):
    """Two records with items on one model, four without on two more, one of general neurons."""
    root = tmp_path_factory.mktemp("results")
    made = []
    for seed, name in ((1, "alpha"), (2, "beta")):
        folder = root / "new"
        record = synthetic_run(folder, seed=seed, detector=f"synthetic-{name}", strength=0.1 * seed)
        (root / place(record)).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder, root / place(record))
        made.append(record)
    for seed in range(3, 8):
        record = synthetic_record(
            kinds=("general",) if seed == 7 else ("specific", "related"),
            curve=seed != 7,
            seed=seed,
            detector=f"synthetic-{'gamma' if seed % 2 else 'delta'}",
            languages=LANGUAGES[:5],
            model_name="synthetic/large" if seed < 5 else "synthetic/small",
            strength=0.05 * seed,
            budget=0.001 if seed == 4 else None,
            badge="reproduced" if seed in (3, 5) else "self-reported",
        )
        folder = root / place(record)
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(json.dumps(record.document()))
        if seed in (5, 6):
            (folder / "reproduction.json").write_text(json.dumps(_reproduction(record, seed == 5).document()))
        made.append(record)
    return root, made


def _reproduction(record, same):
    return Reproduction(
        record=record.identity.id,
        verdict="reproduced" if same else "differs",
        created="2026-11-20T09:10:05Z",
        items=100,
        identical=98,
        beyond=0 if same else 2,
        absent=0,
        environment=record.environment,
    )


@pytest.fixture(scope="session")
def site(records, tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    built = build_site(records[0], out)
    assert built.refused == {}
    return out


@pytest.fixture
def watched(browser):
    made = Watched(browser, accept_downloads=True)
    yield made
    assert made.close() == []
