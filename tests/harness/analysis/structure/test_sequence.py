"""Models in a row: two that are the same report no change, permuted layers and aligned sentences do."""

import json

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from narrowing import present
from nharness.analysis.alignment import Resampling
from nharness.analysis.structure.sequence import compared_neurons, compared_sentences
from nharness.cli.main import main
from nharness.errors import UsageError
from nharness.neurons import Detection
from nharness.record.schema import comparison_schema_text
from nharness.statistics import LanguageTotals, Statistics

TAGS, WIDTHS = ("en", "de", "zh", "ru"), (30,) * 10


def detection(held):
    return Detection("mine", TAGS, WIDTHS, held, held.astype(np.float32), "highest")


@pytest.fixture
def held():
    depth = np.repeat(np.linspace(0.05, 0.6, 10), 30)
    return np.random.default_rng(0).random((4, 300)) < depth


def sentences(meaning, languages, rng, ids=None):
    """Statistics of vectors [S, 40] that are the meaning's, to the degree by language, and noise."""
    rows = {
        tag: (share * meaning + (1 - share) * rng.normal(size=meaning.shape)).astype(np.float32)
        for tag, share in languages.items()
    }
    tensors = {f"document_mean/mean/{tag}": each for tag, each in rows.items()}
    totals = {tag: LanguageTotals(99, len(meaning)) for tag in rows}
    names = ids or [f"s{number}" for number in range(len(meaning))]
    return Statistics("hidden", (20, 20), totals, tensors, {"documents": dict.fromkeys(rows, names)})


def test_two_that_are_the_same_report_no_change(held):
    found = compared_neurons({"a": detection(held), "b": detection(held.copy())})
    assert [flow.moved for flow in found.flows] == [0]
    assert all(each.first == each.last and each.interval == (0.0, 0.0) for each in found.differences)
    assert all(each.jaccard == 1 for each in found.overlap)
    assert found.kinds[0].layers == found.kinds[1].layers
    rng = np.random.default_rng(1)
    one = sentences(rng.normal(size=(50, 40)), dict.fromkeys(TAGS, 0.5), rng)
    found = compared_sentences({"a": one, "b": one}, sentences=50, resampling=Resampling())
    assert all(each.first == each.last and each.interval == (0.0, 0.0) for each in found.differences)


def test_permuted_layers_are_reported_and_totals_are_not(held):
    turned = held.reshape(4, 10, 30)[:, ::-1].reshape(4, 300)
    found = compared_neurons({"a": detection(held), "b": detection(turned)})
    assert found.kinds[0].kinds == found.kinds[1].kinds
    assert found.kinds[0].by_number == found.kinds[1].by_number
    assert found.kinds[0].layers != found.kinds[1].layers
    assert found.flows[0].moved > 30
    assert sum(sum(row.values()) for row in found.flows[0].counts.values()) == 300
    assert all(present(each.jaccard) < 0.5 for each in found.overlap)
    assert all(low <= 0 <= high for low, high in (each.interval for each in found.differences))


def test_kinds_that_grow_are_told_with_an_interval(held):
    more = held.copy()
    more[:, :200] |= np.random.default_rng(3).random((4, 200)) < 0.4
    found = {each.name: each for each in compared_neurons({"a": detection(held), "b": detection(more)}).differences}
    assert found["share-related"].interval[0] > 0
    change = found["share-related"].last - found["share-related"].first
    assert found["share-related"].interval[0] < change < found["share-related"].interval[1]


def test_what_was_aligned_is_told_from_what_was_not():
    rng = np.random.default_rng(5)
    meaning = rng.normal(size=(60, 40))
    before = sentences(meaning, dict.fromkeys(TAGS, 0.3), np.random.default_rng(6))
    after = sentences(meaning, {"en": 0.6, "de": 0.6, "zh": 0.3, "ru": 0.3}, np.random.default_rng(6))
    found = compared_sentences(
        {"a": before, "b": after}, trained=("en", "de"), sentences=60, resampling=Resampling()
    ).differences
    sads = {each.over: each for each in found if each.name == "sads"}
    assert sads["trained"].interval[0] > 0
    assert sads["untrained"].interval == (0.0, 0.0)
    retrieval = {each.over: each for each in found if each.name == "retrieval"}
    assert retrieval["trained"].interval[0] > 0


def test_every_model_of_a_row_is_told_over_the_sentences_that_all_have():
    rng = np.random.default_rng(9)
    meaning = rng.normal(size=(60, 40))
    rows = [sentences(meaning, dict.fromkeys(TAGS, share), np.random.default_rng(10)) for share in (0.2, 0.4, 0.6)]
    found = compared_sentences(dict(zip("abc", rows, strict=True)), sentences=60, resampling=Resampling())
    assert [each.model for each in found.meanings] == ["a", "b", "c"]
    values = [each.sads for each in found.meanings]
    assert values == sorted(values)
    assert all(each.sads_interval[0] < each.sads < each.sads_interval[1] for each in found.meanings)
    ends = {each.name: (each.first, each.last) for each in found.differences}
    for name in ("lrds", "sads", "retrieval"):
        assert (getattr(found.meanings[0], name), getattr(found.meanings[-1], name)) == pytest.approx(ends[name])


def test_models_of_other_sizes_are_compared_by_their_sentences():
    """The larger has more layers and twice the neurons: the same vectors twice over, so that no cosine changes."""
    rng = np.random.default_rng(11)
    small = sentences(rng.normal(size=(60, 40)), dict.fromkeys(TAGS, 0.4), rng)
    twice = {name: np.concatenate([rows, rows], axis=1) for name, rows in small.tensors.items()}
    large = Statistics("hidden", (20, 20, 40), small.totals, twice, small.provenance)
    found = compared_sentences({"small": small, "large": large}, sentences=60, resampling=Resampling())
    assert all(each.last == pytest.approx(each.first) for each in found.differences)
    assert found.meanings[0].sads == pytest.approx(found.meanings[1].sads)
    noisy = {name: np.concatenate([rows, rng.normal(size=rows.shape)], axis=1) for name, rows in twice.items()}
    other = Statistics("hidden", (20, 20, 80), small.totals, noisy, small.provenance)
    fell = compared_sentences({"small": small, "other": other}, sentences=60, resampling=Resampling()).differences
    assert next(each for each in fell if each.name == "sads").interval[1] < 0


def test_sentences_are_put_in_step_across_models():
    rng = np.random.default_rng(7)
    meaning = rng.normal(size=(40, 40))
    one = sentences(meaning, dict.fromkeys(TAGS, 0.5), np.random.default_rng(8))
    names = one.provenance["documents"]["en"]
    tensors = {name: rows[::-1] for name, rows in one.tensors.items()}
    other = Statistics("hidden", (20, 20), one.totals, tensors, {"documents": dict.fromkeys(TAGS, names[::-1])})
    found = compared_sentences({"a": one, "b": other}, sentences=40, resampling=Resampling())
    assert all(each.interval == pytest.approx((0.0, 0.0), abs=1e-9) for each in found.differences)


def test_what_cannot_be_compared_is_refused(held):
    with pytest.raises(UsageError, match="at least two models; got a"):
        compared_neurons({"a": detection(held)})
    fewer = Detection("mine", TAGS, (30,) * 5, held[:, :150], held[:, :150].astype(np.float32), "highest")
    with pytest.raises(UsageError, match="the neurons of b belong to a model of 5 layers"):
        compared_neurons({"a": detection(held), "b": fewer})


def test_the_command_prints_and_writes_a_document_of_its_schema(held, tmp_path, capsys):
    detection(held).save(tmp_path / "before.safetensors")
    detection(held[:, ::-1].copy()).save(tmp_path / "after.safetensors")
    files = [str(tmp_path / f"{name}.safetensors") for name in ("before", "after")]
    assert main(["compare", "--models", *files, "--out", str(tmp_path / "c.json")]) == 0
    assert "from before (rows) to after (columns)" in capsys.readouterr().out
    document = json.loads((tmp_path / "c.json").read_text())
    Draft202012Validator(json.loads(comparison_schema_text())).validate(document)
    assert document["models"] == ["before", "after"]
    assert main(["compare", "--models", *files, "--trained", "en"]) == 4
    assert "--trained needs statistics of sentences" in capsys.readouterr().err
    assert main(["compare"]) == 4
    assert "or --models FILE FILE" in capsys.readouterr().err
