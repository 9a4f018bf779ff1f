"""Anybody's neurons file evaluated: what is recorded, what the record says of its origin, and a budget it cannot fill."""

import json

import numpy as np
import pytest

from nharness import neurons
from nharness.cli.main import main
from nharness.neurons import Detection

PROVENANCE = {"detector_version": "7", "detection_tokens": 1234, "corpus": "elsewhere"}


@pytest.fixture
def evaluated(tiny_run, tiny_model_folder, tmp_path):
    """Evaluate a file with ten neurons of `en` and one of `de`, and return its records and what was recorded."""
    membership = np.zeros((2, 80), dtype=bool)
    membership[0, 3:13] = membership[1, 40] = True
    found = Detection(
        "elsewhere",
        ("en", "de"),
        (40, 40),
        membership,
        membership.astype(np.float32),
        "highest",
        candidates=membership,
        options={"rate": 0.1},
        provenance=PROVENANCE,
    )
    found.save(tmp_path / "my neurons é.safetensors")
    own = [argument for argument in tiny_run[1:] if argument not in {"--detector", "lape", "--option", "top_rate=0.1"}]
    place = own.index("--controls")

    def evaluate(*more, controls):
        argv = ["evaluate", "--neurons", str(tmp_path / "my neurons é.safetensors"), *own[:place], *own[place + 2 :]]
        out = tmp_path / f"out{controls}{len(more)}"
        assert main([*argv, "--controls", str(controls), "--out", str(out), *more]) == 0
        records = [json.loads(path.read_text()) for path in sorted(out.glob("records/*/record.json"))]
        return records, list((out / "store").glob("statistics/*/*"))

    return evaluate


def test_zeros_need_nothing_recorded(evaluated):
    for controls in (0, 2):
        (record,), recorded = evaluated(controls=controls)
        assert not recorded
        assert record["cost"]["forward_tokens"]["record"] == 0
        assert [split["split"] for split in record["corpus"]["splits"]] == ["eval", "eval"]


def test_who_needs_statistics_gets_them(evaluated):
    (record,), recorded = evaluated("--intervention", "mean", controls=0)
    assert len(recorded) == 2  # one a language
    assert record["cost"]["forward_tokens"]["record"] > 0
    assert record["detector"]["tokens"] == PROVENANCE["detection_tokens"]


def test_the_file_says_where_its_neurons_come_from(evaluated):
    (record,), _ = evaluated(controls=0)
    assert record["detector"]["name"] == "file:my-neurons-.safetensors"
    assert record["detector"]["version"] == PROVENANCE["detector_version"]
    assert record["detector"]["tokens"] == PROVENANCE["detection_tokens"]
    assert record["detector"]["options"] == {"detector": "elsewhere", "rate": 0.1}


def test_a_budget_that_is_not_filled_is_recorded_and_said(evaluated, capsys):
    (record,), _ = evaluated("--budget", "0.1", controls=0)
    short = {target["name"]: target["short"] for target in record["targets"]}
    assert short == {"en": None, "de": {"asked": 8, "got": 1}}
    assert (
        "file:my-neurons-.safetensors: de has 1 of the 8 neurons that a budget of 0.1 asks for"
        in capsys.readouterr().err
    )


def test_detect_says_what_it_was_asked_for(evaluated, tmp_path, capsys, recorded_statistics):
    argv = ["detect", "probe", "--statistics", *recorded_statistics, "--budget", "0.9"]
    assert main([*argv, "--out", str(tmp_path / "p.safetensors"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["short"]["en"] == {"asked": 72, "got": told["neurons"]["en"]}
    assert neurons.load(tmp_path / "p.safetensors").short["en"] == (72, told["neurons"]["en"])


@pytest.fixture
def recorded_statistics(tmp_path):
    """Document means of two languages of forty times two neurons, at the hidden site."""
    from nharness.statistics import LanguageTotals, Statistics

    random = np.random.default_rng(0)
    tensors = {
        f"document_mean/mean/{tag}": random.normal(shift, 1, (6, 80)).astype(np.float32)
        for tag, shift in (("en", 0), ("de", 1))
    }
    totals = {tag: LanguageTotals(600, 6) for tag in ("en", "de")}
    Statistics("hidden", (40, 40), totals, tensors).save(tmp_path / "s.safetensors")
    return [str(tmp_path / "s.safetensors")]
