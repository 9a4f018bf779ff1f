"""What `nharness analyze` says of statistics, neurons and records, and what it asks for where something is missing."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose

from nharness.cli.main import main
from nharness.neurons import Detection
from nharness.statistics import LanguageTotals, Statistics

WIDTHS = (2, 2)
# Sentence vectors [3, 4] in two languages and two layers; all cosines within a layer are 1, 0 or half the root of 2.
VECTORS = {
    "en": np.array([[1, 0, 1, 0], [0, 1, 1, 0], [1, 1, 0, 1]], dtype=np.float32),
    "fr": np.array([[2, 0, 0, 1], [0, 3, 0, 2], [1, 1, 1, 0]], dtype=np.float32),
}
R = 2**-0.5


def written(path, vectors, ids=None):
    tensors = {f"document_mean/mean/{tag}": rows for tag, rows in vectors.items()}
    totals = {tag: LanguageTotals(10, len(rows)) for tag, rows in vectors.items()}
    provenance = {} if ids is None else {"documents": ids}
    Statistics("hidden", WIDTHS, totals, tensors, provenance).save(path)
    return path


def printed(capsys, *line):
    assert main([*map(str, line)]) == 0
    return capsys.readouterr().out


def test_lrds_sads_and_retrieval_are_those_computed_by_hand(tmp_path, capsys):
    ids = {"en": ["a", "b", "c"], "fr": ["a", "b", "c"]}
    file = written(tmp_path / "s.safetensors", VECTORS, ids)
    (table,) = json.loads(printed(capsys, "analyze", file, "--json")).values()
    first, second = table[1], table[2]
    # layer 0: both languages have e1, e2 and (e1 + e2) R. Different meanings: 0, R, R -> 2 R / 3, in one language or two;
    # same meaning: 1.
    assert_allclose(first["LRDS"], 0, atol=1e-7)
    assert_allclose(first["SADS"], 1 - 2 * R / 3, rtol=1e-6)
    assert first["retrieval"] == 1
    # layer 1: en has e1, e1, e2, fr e2, e2, e1. One language, different meanings: 1, 0, 0 -> 1/3. One meaning: 0.
    # Neither: a-b 0, b-a 0, a-c 1, c-a 1, b-c 1, c-b 1 -> 2/3.
    assert_allclose(second["LRDS"], 1 / 3 - 2 / 3, rtol=1e-6)
    assert_allclose(second["SADS"], 0 - 2 / 3, rtol=1e-6)
    assert second["retrieval"] == 0
    assert_allclose(second["by chance"], 1 / 3)


def test_sentences_out_of_step_by_one_are_put_in_step_by_their_ids(tmp_path, capsys):
    ids = {"en": ["a", "b", "c"], "fr": ["a", "b", "c"]}
    true = printed(capsys, "analyze", written(tmp_path / "s.safetensors", VECTORS, ids), "--json")
    rolled = {"en": VECTORS["en"], "fr": np.roll(VECTORS["fr"], 1, axis=0)}
    moved = {"en": ids["en"], "fr": ["c", "a", "b"]}
    assert printed(capsys, "analyze", written(tmp_path / "t.safetensors", rolled, moved), "--json") == true
    # the shift by one sentence of the released code: the same rows taken for a, b, c
    bug = printed(capsys, "analyze", written(tmp_path / "u.safetensors", rolled, ids), "--json")
    sads = [next(iter(json.loads(text).values()))[1]["SADS"] for text in (true, bug)]
    # shifted, the same-meaning pairs are 1-R, 2-1, R-2: R, 0, R; the others 1, R, 0, 1, R, 1
    assert_allclose(sads, [1 - 2 * R / 3, 2 * R / 3 - (3 + 2 * R) / 6], rtol=1e-6)


@pytest.mark.parametrize(
    ("vectors", "ids", "said"),
    [
        (VECTORS, None, "do not say which document is which; record them with: nharness record --statistics"),
        (VECTORS, {"en": ["a", "b", "c"], "fr": ["d", "e", "f"]}, "0 sentences are shared by en, fr"),
    ],
)
def test_what_is_missing_is_named_with_how_to_record_it(tmp_path, capsys, vectors, ids, said):
    assert main(["analyze", str(written(tmp_path / "s.safetensors", vectors, ids))]) == 4
    assert said in capsys.readouterr().err


def test_counts_alone_need_a_detector(tmp_path, capsys):
    counts = {f"activation_count/positive/{tag}": np.array([1, 2, 0, 4]) for tag in ("en", "fr")}
    totals = {tag: LanguageTotals(10, 1) for tag in ("en", "fr")}
    Statistics("gate", WIDTHS, totals, counts).save(tmp_path / "c.safetensors")
    assert main(["analyze", str(tmp_path / "c.safetensors")]) == 4
    assert "or name a --detector" in capsys.readouterr().err
    out = printed(capsys, "analyze", tmp_path / "c.safetensors", "--detector", "lape", "--option", "top_rate=0.5")
    assert "kinds as shares of the layer's width" in out


def test_neurons_files_tell_layers_stages_and_the_tree(tmp_path, capsys):
    rng = np.random.default_rng(0)
    held = rng.random((3, 400)) < 0.1
    found = Detection("mine", ("en", "de", "zh"), (40,) * 10, held, held.astype(np.float32), "highest")
    found.save(tmp_path / "n.safetensors")
    tables = json.loads(printed(capsys, "analyze", tmp_path / "n.safetensors", "--json"))
    shares = tables["kinds as shares of the layer's width (selected neurons)"]
    one = held[:, :40].sum(axis=0) == 1
    assert shares[0]["specific"] == pytest.approx(one.mean())
    assert "no such structure" in tables["stages by depth"][0]["stages"]
    assert main(["analyze", str(tmp_path / "n.safetensors"), "--detector", "lape"]) == 4
    assert "already holds neurons" in capsys.readouterr().err


def test_parts_are_recorded_apart_and_give_intervals(tmp_path, capsys):
    out = tmp_path / "s.safetensors"
    given = ["--model", "babel", "--languages", "en,de", "--detect-tokens", 4000]
    line = ["record", *given, "--parts", 8, "--out", out, "-q"]
    printed(capsys, *line)
    parts = sorted(tmp_path.glob("s.part*.safetensors"))
    assert len(parts) == 8
    text = printed(capsys, "analyze", *parts, "--detector", "lape", "--option", "top_rate=0.2")
    assert "share\tinterval\tof all neurons" in text
    printed(capsys, "record", *given, "--statistics", "document_mean@hidden", "--document-ids", "--out", out, "-q")
    assert "parallel sentences in" in printed(capsys, "analyze", out)


def test_a_run_that_reads_layers_says_so_in_its_records_and_in_analyze(tiny_run, tmp_path, capsys):
    """Numbers of parallel text and of every layer are in the record, valid, shown, and taken from the store again."""
    more = ["--detector", "lingua-franca", "--detect-tokens", "3000", "--lens", "60", "--controls", "0"]
    given = [word for word in tiny_run if word not in {"--option", "top_rate=0.1"}]
    assert main([*given, *more, "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "parallel sentences: LRDS" in shown
    assert "text that is not English, through the LM head: own language less English" in shown
    record = tmp_path / "out" / "records" / "lingua-franca-zero" / "record.json"
    held = json.loads(record.read_text())["structure"]["recorded"]
    assert {each["name"] for each in held} >= {"lrds", "sads", "retrieval", "lens-own", "lens-english", "lens-lead"}
    assert [each["layer"] for each in held if each["name"] == "lens-lead"] == [0, 1, 2]
    assert main(["validate", "--deep", str(record)]) == 0
    capsys.readouterr()
    assert main(["analyze", str(tmp_path / "out")]) == 0
    tables = capsys.readouterr().out
    assert "parallel sentences: whole model and layer by layer" in tables
    assert "text in de, through the LM head" in tables
    again = [*given, *more, "--out", str(tmp_path / "again"), "--store", str(tmp_path / "out" / "store")]
    assert main(again) == 0
    other = tmp_path / "again" / "records" / "lingua-franca-zero" / "record.json"
    assert json.loads(other.read_text())["structure"]["recorded"] == held
    assert len(list((tmp_path / "out" / "store" / "lens").rglob("*.json"))) == 2
