"""Neurons: addressing, kinds, budgets, the file, and files that lie."""

from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy

from nharness import neurons, tensorfile
from nharness.errors import FileFormatError, OptionError, UnknownNameError, UsageError
from nharness.neurons import KINDS, Detection, Units, same_model, to_flat, to_pairs

WIDTHS = (3, 1, 4)


def detection(**changes):
    membership = np.array([[1, 0, 0, 1, 0, 0, 1, 0], [1, 1, 0, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, 0, 0, 0]], dtype=bool)
    values = {
        "detector": "hand",
        "languages": ("en", "de", "zh"),
        "layer_widths": WIDTHS,
        "membership": membership,
        "score": np.array([5, 4, 4, 3, np.nan, 2, 1, 0], dtype=np.float32),
        "best": "highest",
    }
    return Detection(**{**values, **changes})


def test_pairs_and_flat_indices_are_each_other():
    flat = np.arange(8)
    expected = [[0, 0], [0, 1], [0, 2], [1, 0], [2, 0], [2, 1], [2, 2], [2, 3]]
    assert to_pairs(flat, WIDTHS).tolist() == expected
    assert to_flat(np.array(expected), WIDTHS).tolist() == flat.tolist()
    assert to_pairs(np.zeros(0, dtype=np.int64), WIDTHS).shape == (0, 2)
    assert to_flat(np.zeros((0, 2), dtype=np.int64), WIDTHS).shape == (0,)


@pytest.mark.parametrize("pair", [[3, 0], [0, 3], [-1, 0], [1, -1], [1, 1]])
def test_neurons_outside_the_model_are_refused(pair):
    with pytest.raises(FileFormatError, match=r"lies outside layer widths \[3, 1, 4\]"):
        to_flat(np.array([[0, 0], pair]), WIDTHS)


def test_kinds_by_hand():
    names = [KINDS[kind] for kind in detection().kinds()]
    assert names == [
        "general",
        "specific",
        "unassigned",
        "specific",
        "unassigned",
        "unassigned",
        "related",
        "unassigned",
    ]


def test_with_two_languages_nothing_is_related():
    two = detection(languages=("en", "de"), membership=detection().membership[:2])
    assert [KINDS[k] for k in two.kinds()][:2] == ["general", "specific"]
    assert "related" not in {KINDS[k] for k in two.kinds()}


def test_kinds_over_all_count_the_candidates():
    candidates = np.ones((3, 8), dtype=bool)
    assert {KINDS[k] for k in detection(candidates=candidates).kinds(over="all")} == {"general"}
    assert (detection(candidates=candidates).kinds() == detection().kinds()).all()


def test_cut_takes_the_best_and_breaks_ties_by_order():
    cut = detection().cut(2 / 8)
    assert [cut.flat(tag).tolist() for tag in cut.languages] == [[0, 1], [0, 1], [0, 1]]
    low = detection(best="lowest").cut(2 / 8)
    assert low.flat("en").tolist() == [6, 7]
    assert detection().cut(1.0).flat("en").tolist() == [0, 1, 2, 3, 5, 6, 7]  # NaN is never taken


def test_cut_keeps_to_the_candidates():
    candidates = np.zeros((3, 8), dtype=bool)
    candidates[1, 7] = True
    cut = detection(candidates=candidates).cut(0.5)
    assert [cut.flat(tag).tolist() for tag in cut.languages] == [[], [7], []]


@pytest.mark.parametrize("budget", [0, -0.1, 1.01])
def test_budget_out_of_range_says_the_range(budget):
    with pytest.raises(OptionError, match="above 0 and at most 1"):
        detection().cut(budget)


@pytest.mark.parametrize("score", [np.arange(8, dtype=np.float32), np.arange(24, dtype=np.float32).reshape(3, 8)])
@pytest.mark.parametrize("candidates", [None, np.eye(3, 8, dtype=bool)])
def test_round_trip(tmp_path, score, candidates):
    before = detection(score=score, candidates=candidates, options={"top_rate": 0.01}, provenance={"model": "x"})
    before.save(tmp_path / "n.safetensors")
    after = neurons.load(tmp_path / "n.safetensors")
    assert after.languages == before.languages
    assert after.layer_widths == WIDTHS
    assert after.best == "highest"
    assert np.array_equal(after.membership, before.membership)
    assert np.array_equal(after.score, before.score)
    assert (after.candidates is None) == (candidates is None)
    assert after.options == {"top_rate": 0.01}
    assert after.provenance == {"model": "x"}


def test_equal_detections_are_equal_bytes(tmp_path):
    for name in ("a", "b"):
        detection().save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_language_without_neurons_keeps_its_row(tmp_path):
    membership = detection().membership.copy()
    membership[2] = False
    detection(membership=membership).save(tmp_path / "n.safetensors")
    after = neurons.load(tmp_path / "n.safetensors")
    assert after.languages == ("en", "de", "zh")
    assert after.neurons("zh").shape == (0, 2)


def lying(tmp_path, tensors, **metadata):
    document = {"format": neurons.FORMAT, "languages": ["en", "de"], "layer_widths": [3, 1], **metadata}
    tensorfile.save(tmp_path / "n.safetensors", tensors, document)
    return tmp_path / "n.safetensors"


EN, DE = np.array([[0, 1]]), np.array([[1, 0]])


def test_numbers_of_thousands_of_digits_are_refused(tmp_path):
    document = '{"format": "' + neurons.FORMAT + '", "layer_widths": [1' + "0" * 5000 + "]}"
    (tmp_path / "n.safetensors").write_bytes(
        safetensors.numpy.save({"neurons/en": EN}, metadata={"nharness": document})
    )
    with pytest.raises(FileFormatError, match="the metadata under 'nharness' is not JSON"):
        neurons.load(tmp_path / "n.safetensors")
    with pytest.raises(FileFormatError, match="a folder; expected a nharness-neurons/1 safetensors file"):
        neurons.load(tmp_path)


@pytest.mark.parametrize(
    ("tensors", "metadata", "message"),
    [
        ({"neurons/en": EN}, {}, "no tensor 'neurons/de'"),
        ({"neurons/en": EN, "neurons/de": DE * 7}, {}, r"neuron \(7, 0\) lies outside"),
        ({"neurons/en": EN, "neurons/de": DE.astype(np.float32)}, {}, "expected whole numbers"),
        (
            {"neurons/en": EN, "neurons/de": DE, "score": np.zeros(5, np.float32)},
            {},
            r"score is \(5,\), expected \(4,\)",
        ),
        ({"neurons/en": EN, "neurons/de": DE}, {"languages": "en"}, "metadata field 'languages'"),
        ({"neurons/en": EN, "neurons/de": DE}, {"format": "other/1"}, "format is 'other/1'"),
        ({"neurons/en": EN, "neurons/de": DE}, {"languages": ["en", "en"]}, "are empty or repeated"),
        ({"neurons/en": EN, "neurons/de": DE}, {"languages": []}, "are empty"),
        ({"neurons/../../x": EN}, {"languages": ["../../x"]}, r"unknown language '\.\./\.\./x'"),
        ({"neurons/zho_Hans": EN}, {"languages": ["zho_Hans"]}, "should be written 'zh'"),
        ({"neurons/en": EN, "neurons/de": DE}, {"layer_widths": [2**30, 2**30]}, "more than any model could have"),
        ({"neurons/en": EN, "neurons/de": DE}, {"layer_widths": [3, -1]}, "not the widths of a model"),
        ({"neurons/en": EN, "neurons/de": DE}, {"layer_widths": [3, "a"]}, "not the widths of a model"),
        ({"neurons/en": EN, "neurons/de": DE}, {"layer_widths": [3, 10**15]}, "not the widths of a model"),
        ({"neurons/en": EN, "neurons/de": DE}, {"options": [1]}, "metadata field 'options'"),
        ({"neurons/en": EN, "neurons/de": DE}, {"layer_widths": [10**40]}, "not the widths of a model"),
        ({"neurons/en": EN, "neurons/de": DE}, {"layer_widths": [3.0, 1.0]}, "not the widths of a model"),
        ({"neurons/en": EN, "neurons/de": DE}, {"layer_widths": [1] * 10**5}, "lies outside layer widths"),
        ({"neurons/en": EN, "neurons/de": DE}, {"languages": [5, 10**40]}, "unknown language '5'"),
        ({"neurons/en": EN, "neurons/de": DE}, {"languages": 10**40}, "metadata field 'languages' is '1000"),
        (
            {"neurons/en": EN, "neurons/de": DE, "score": np.array(1.0)},
            {},
            r"score is \(1,\), expected \(4,\) or \(2, 4\)",
        ),
        (
            {"neurons/en": EN, "neurons/de": DE, "score/en": np.ones(4), "score/de": np.ones(3)},
            {},
            r"score/de is \(3,\), expected \(4,\)",
        ),
        ({"neurons/en": EN.astype(np.uint64) * 2**63, "neurons/de": DE}, {}, "lies outside layer widths"),
        (
            {f"{kind}/{tag}": EN for kind in ("neurons", "candidate") for tag in ("en", "de")},
            {"layer_widths": [4]},
            r"candidate/en is \(1, 2\), expected \(4,\)",
        ),
    ],
)
def test_files_that_lie_are_refused(tmp_path, tensors, metadata, message):
    with pytest.raises(FileFormatError, match=message):
        neurons.load(lying(tmp_path, tensors, **metadata))


@pytest.mark.parametrize("keep", [0, 7, 40, -10])
def test_truncated_files_are_refused_by_name(tmp_path, keep):
    detection().save(tmp_path / "n.safetensors")
    raw = (tmp_path / "n.safetensors").read_bytes()
    (tmp_path / "n.safetensors").write_bytes(raw[:keep])
    with pytest.raises(FileFormatError, match=r"n\.safetensors"):
        neurons.load(tmp_path / "n.safetensors")


def test_absent_file_and_unknown_language(tmp_path):
    with pytest.raises(FileFormatError, match="no such file"):
        neurons.load(tmp_path / "nothing")
    with pytest.raises(UnknownNameError, match="unknown language of this hand detection 'fr'"):
        detection().row("fr")


def test_two_models_are_told_apart():
    same_model(Units((3, 1)), Units((3, 1)), what="the neurons")
    with pytest.raises(UsageError, match="the neurons belong to a model of 2 layers x 3 neurons, not 1 x 4"):
        same_model(Units((3, 1)), Units((4,)), what="the neurons")
    with pytest.raises(UsageError, match="the neurons belong to component 'head', not 'mlp'"):
        same_model(Units((3, 1), "head"), Units((3, 1)), what="the neurons")


def test_a_file_without_component_is_of_neurons_and_one_with_another_keeps_it(tmp_path):
    heads = replace(detection(), component="head")
    heads.save(tmp_path / "n.safetensors")
    assert neurons.load(tmp_path / "n.safetensors").component == "head"
    tensors, metadata = tensorfile.load(tmp_path / "n.safetensors", neurons.FORMAT)
    del metadata["component"]
    tensorfile.save(tmp_path / "old.safetensors", tensors, metadata)
    assert neurons.load(tmp_path / "old.safetensors").component == "mlp"
    tensorfile.save(tmp_path / "odd.safetensors", tensors, {**metadata, "component": "neuron"})
    with pytest.raises(FileFormatError, match="component 'neuron'; expected one of mlp, attention"):
        neurons.load(tmp_path / "odd.safetensors")


def test_a_budget_that_a_detection_cannot_fill_is_said(tmp_path):
    few = detection(candidates=detection().membership)
    assert few.short == {}
    cut = few.cut(0.4)  # three neurons a language
    assert cut.short == {"zh": (3, 1)}
    cut.save(tmp_path / "n.safetensors")
    assert neurons.load(tmp_path / "n.safetensors").short == cut.short
