"""`--ground-truth`, `--folds` and `--null` on the planted model, from the command line to the record."""

import gzip
import json

import numpy as np
import pytest

from nharness.ablation.engine import Ablation
from nharness.analysis.ground_truth import Truth, own_effect
from nharness.cli.main import main
from nharness.errors import FileFormatError, UsageError
from nharness.neurons import Detection
from nharness.plugins import Plugins
from nharness.record.model import Record
from nharness.run.plan.resolve import resolve
from nharness.run.stages.ablate import load_ablation, save_ablation
from nharness.spec import Named, RunSpec
from nharness.testing import planted_model

LANGUAGES = ("en", "de", "ru", "zh")
DETECTORS = ("attribution", "lape", "random")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A planted model and its text, as folders that the command line takes."""
    planted = planted_model(LANGUAGES, seed=3)
    model, corpus = tmp_path_factory.mktemp("model"), tmp_path_factory.mktemp("corpus")
    planted.save(model)
    for split in ("detect", "eval"):
        (corpus / split).mkdir()
        for tag in LANGUAGES:
            lines = [json.dumps({"id": d.id, "text": d.text}) for d in planted.corpus.documents(tag, split)]
            (corpus / split / f"{tag}.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    return model, corpus


@pytest.fixture(scope="module")
def judged(folders, tmp_path_factory):
    out = tmp_path_factory.mktemp("judged") / "out"
    argv = [
        "run",
        "--detector",
        ",".join(DETECTORS),
        "--model",
        folders[0],
        "--corpus",
        folders[1],
        "--controls",
        "0",
        "--eval-tokens",
        "80",
        "--bootstrap-draws",
        "100",
        "--ground-truth",
        "--folds",
        "3",
        "--null",
        "--out",
        out,
        "--store",
        out / "store",
    ]
    code = main([str(part) for part in argv])
    records = {
        path.parent.name.removesuffix("-zero"): Record.model_validate_json(path.read_text())
        for path in out.glob("records/*/record.json")
    }
    return code, records, out


def test_the_record_holds_scores_against_the_planted_truth(judged):
    code, records, _ = judged
    assert code == 0
    assert set(records) == set(DETECTORS)
    scores = {
        name: {found.truth: found for found in record.ground_truth}["planted"] for name, record in records.items()
    }
    assert scores["attribution"].auroc >= 0.99
    assert [language.language for language in scores["lape"].languages] == list(LANGUAGES)
    assert scores["lape"].precision_at_k < 0.6 < scores["attribution"].precision_at_k
    assert 0.4 < scores["random"].auroc < 0.6


def test_a_truth_about_another_model_is_left_out(judged):
    _, records, _ = judged
    assert all("exhaustive" not in {found.truth for found in record.ground_truth} for record in records.values())


def test_the_record_holds_what_repeats_on_other_text(judged):
    _, records, _ = judged
    found = {name: {part.kind: part for part in record.stability or ()} for name, record in records.items()}
    assert set(found["lape"]) == {"folds", "label_shuffle"}
    assert found["attribution"]["folds"].repeats == 3
    assert found["attribution"]["folds"].jaccard > 0.5
    assert found["random"] == {}  # it looks at no text: there is nothing to repeat


def test_without_languages_other_neurons_are_found(judged):
    _, records, _ = judged
    shuffled = next(part for part in records["lape"].stability if part.kind == "label_shuffle")
    counts = {count.what: count for count in shuffled.shuffled}
    assert set(counts) == {*LANGUAGES, "specific", "related", "general"}
    # a detector that takes a fixed share finds as many neurons in anything; but not the same ones, and fewer specific
    assert counts["specific"].observed > counts["specific"].mean
    folds = next(part for part in records["lape"].stability if part.kind == "folds")
    assert shuffled.jaccard < folds.jaccard
    assert shuffled.repeats == 10


def test_the_same_again_from_the_store_is_the_same(judged, folders):
    _, before, out = judged
    assert main(["run", "--resume", "--out", str(out), "--store", str(out / "store"), "-q"]) == 0
    for path in out.glob("records/*/record.json"):
        again = Record.model_validate_json(path.read_text())
        first = before[path.parent.name.removesuffix("-zero")]
        assert (again.ground_truth, again.stability) == (first.ground_truth, first.stability)
        assert again.identity.id == first.identity.id


def test_too_many_folds_say_how_many_there_can_be(folders, tmp_path, capsys):
    argv = [
        "run",
        "--detector",
        "lape",
        "--model",
        *map(str, folders[:1]),
        "--corpus",
        str(folders[1]),
        "--folds",
        "50",
    ]
    assert main([*argv, "--out", str(tmp_path / "o")]) == 4
    assert "into 50 blocks of at least one document; de has 24" in capsys.readouterr().err


def test_a_file_of_ablations_is_read_as_it_was_written(tmp_path):
    delta = {"delta/en": np.array([0.5, 0, -0.25]), "delta/de": np.array([0, 0.125, 0.0])}
    made = Ablation(delta, {"en": 10, "de": 12}, {"en": frozenset(), "de": frozenset()}, 99)
    save_ablation(tmp_path / "a.safetensors", made, layer_widths=(1, 2), model="m", tokenizer="t", corpus="c")
    found = load_ablation(tmp_path / "a.safetensors")
    assert found.layer_widths == (1, 2)
    assert (found.tokens("de"), found.tokens("fr")) == (12, 0)
    assert all((found.delta[tag] == delta[f"delta/{tag}"]).all() for tag in ("en", "de"))
    (tmp_path / "a.safetensors").write_bytes((tmp_path / "a.safetensors").read_bytes()[:90])
    with pytest.raises(FileFormatError, match=r"a\.safetensors"):
        load_ablation(tmp_path / "a.safetensors")


def test_a_neuron_is_a_language_s_own_by_what_it_costs_beyond_the_others():
    delta = np.array([[1.0, 2.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 3.0]])
    effect = own_effect(delta)
    assert effect.tolist() == [[0.0, 1.5, -1.5], [0.0, -1.5, -1.5], [0.0, 0.0, 3.0]]
    truth = Truth.from_effects("t", ("en", "de", "zh"), (3,), effect, share=0.34)
    assert truth.membership.tolist() == [[False, True, False], [False] * 3, [False, False, True]]


def test_what_cannot_be_repeated_is_refused_where_nothing_else_is(tmp_path):
    exhaustive, lape = Named(name="exhaustive"), Named(name="lape")
    for asked in ({"folds": 3}, {"null": True}):
        with pytest.raises(
            UsageError, match=r"nothing here can be repeated \(exhaustive: every neuron would have to be ablated"
        ):
            resolve(RunSpec(detectors=(exhaustive,), **asked), Plugins())
        assert set(resolve(RunSpec(detectors=(exhaustive, lape), **asked), Plugins()).detectors) == {
            "exhaustive",
            "lape",
        }
    size = planted_model().truth.membership.shape[1]
    found = Detection(
        "made", ("en", "de"), (size,), np.ones((2, size), dtype=bool), np.ones(size, dtype=np.float32), "highest"
    )
    found.save(tmp_path / "n.safetensors")
    read = Named(name=f"file:{tmp_path / 'n.safetensors'}")
    with pytest.raises(UsageError, match=r"\(file:n.safetensors: its neurons come from a file"):
        resolve(RunSpec(detectors=(read,), folds=2), Plugins())
