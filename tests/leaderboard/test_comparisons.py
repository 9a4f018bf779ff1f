"""Comparisons of models in a row: published as files beside the results, a page each, refused where they are none."""

import json
from pathlib import Path

import numpy as np
import pytest

from nharness.analysis.alignment import Resampling
from nharness.analysis.structure.sequence import compared_neurons, compared_sentences
from nharness.errors import FileFormatError
from nharness.neurons import Detection
from nharness.record.comparison import Comparison
from nharness.statistics import LanguageTotals, Statistics
from nharness_leaderboard.comparisons import grew, read_comparisons
from nharness_leaderboard.site.build import build_site

TAGS = ("en", "de", "ja", "ko")
PUBLISHED = Path(__file__).resolve().parents[2] / "leaderboard" / "comparisons"


def detection(seed):
    rng = np.random.default_rng(seed)
    return Detection("lape", TAGS, (30, 30), rng.random((4, 60)) < 0.2, rng.random(60).astype(np.float32), "lowest")


def sentences(seed, shared):
    """Vectors that have more of one meaning the larger `shared` is, by language."""
    rng = np.random.default_rng(seed)
    meaning = rng.normal(size=(30, 8))
    rows = {
        tag: shared.get(tag, 0.1) * meaning + np.random.default_rng(n).normal(size=(30, 8))
        for n, tag in enumerate(TAGS)
    }
    tensors = {f"document_mean/mean/{tag}": each.astype(np.float32) for tag, each in rows.items()}
    documents = {tag: [f"s{n}" for n in range(30)] for tag in TAGS}
    totals = {tag: LanguageTotals(300, 30) for tag in TAGS}
    return Statistics("hidden", (4, 4), totals, tensors, {"documents": documents})


@pytest.fixture
def folder(tmp_path):
    """A leaderboard folder with no record and two comparisons."""
    (tmp_path / "results").mkdir()
    (tmp_path / "comparisons").mkdir()
    found = {
        "kinds": compared_neurons({"early": detection(0), "late": detection(1)}),
        "aligned": compared_sentences(
            {"control": sentences(3, {}), "aligned": sentences(3, {"ja": 2.0, "ko": 2.0})},
            trained=("en", "de"),
            sentences=200,
            resampling=Resampling(),
        ),
    }
    for name, each in found.items():
        (tmp_path / "comparisons" / f"{name}.json").write_text(json.dumps(each.document()))
    return tmp_path


def test_every_comparison_has_a_page_that_says_what_it_says(folder):
    build_site(folder / "results", folder / "site")
    overview = (folder / "site" / "findings" / "index.html").read_text()
    assert 'href="../comparisons/aligned.html">control, aligned<' in overview
    page = (folder / "site" / "comparisons" / "aligned.html").read_text()
    assert "Spontaneous alignment" in page
    assert "sads grew: <b>holds</b>" in page
    assert "Parallel sentences, model by model" in page
    assert "they do not say how another training run of the same recipe would differ" in page
    kinds = (folder / "site" / "comparisons" / "kinds.html").read_text()
    assert "sads grew" not in kinds
    assert "Intervals are over neurons" in kinds
    published = Comparison.model_validate_json((folder / "site" / "data" / "comparisons" / "aligned.json").read_text())
    assert published == next(
        each.comparison for each in read_comparisons(folder / "comparisons") if each.name == "aligned"
    )


def test_growth_is_judged_by_its_interval(folder):
    (aligned, _) = read_comparisons(folder / "comparisons")
    verdicts = {each.name: verdict for each, verdict in aligned.spontaneous}
    assert verdicts["sads"] == "holds"
    trained = next(each for each in aligned.comparison.differences if (each.name, each.over) == ("sads", "trained"))
    assert grew(trained) == "undecided"  # nothing was done to them
    assert grew(trained.model_copy(update={"interval": (-2.0, -1.0)})) == "fails"


@pytest.mark.parametrize(("name", "text"), [("bad", "{}"), ("bad", "not JSON"), ("..", "{}"), ("a b", "{}")])
def test_what_is_no_comparison_is_refused(folder, name, text):
    (folder / "comparisons" / f"{name}.json").write_text(text)
    with pytest.raises(FileFormatError, match=r"is no comparison|is no name of a page"):
        build_site(folder / "results", folder / "site")


def test_published_comparisons_can_be_read():
    found = read_comparisons(PUBLISHED)
    assert len(found) == len(list(PUBLISHED.glob("*.json")))
