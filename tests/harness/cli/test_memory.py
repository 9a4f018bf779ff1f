"""A device whose memory is small: batches are halved until they fit, the numbers stay, and the user is told."""

import json
import textwrap
from itertools import product

import pytest

from nharness.cli.main import main

SMALL_MEMORY = """
    import os

    import torch
    from nharness import Entry, hookimpl

    def refuse(module, arguments, named):
        tokens = named["input_ids"] if "input_ids" in named else arguments[0]
        if tokens.numel() > int(os.environ["MEMORY"]):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate much.")

    def find(model):
        model.base_model.register_forward_pre_hook(refuse, with_kwargs=True)

    @hookimpl
    def nharness_register_architectures():
        return [Entry("small_memory", "a device with little memory", find)]
"""


@pytest.fixture
def arguments(tiny_run, tmp_path, monkeypatch):
    (tmp_path / "small_memory.py").write_text(textwrap.dedent(SMALL_MEMORY))
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "text").mkdir()
    for split, tag in product(("detect", "eval"), ("en", "de")):  # documents of one length: no batch has padding
        rows = [{"id": f"{split}{n}", "text": f"some {tag} words of {split} {n:02d}. " * 40} for n in range(10, 20)]
        (tmp_path / "text" / f"{split}.{tag}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = ["--corpus", str(tmp_path / "text"), "--eval-tokens", "2000"]
    return [*tiny_run[:-1], "--tasks", "continuation", "--limit", "6", *text, "-p", "small_memory"]


def cells(out):
    found = {}
    for path in out.glob("store/cells/*/*.json"):
        document = json.loads(path.read_bytes().partition(b"\n")[2])
        document.pop("seconds")
        found[path.stem] = document
    return found


def test_batches_are_halved_and_nothing_else_changes(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MEMORY", "1000000")
    assert main([*arguments, "--out", str(tmp_path / "large")]) == 0
    assert "memory ran out" not in capsys.readouterr().err
    monkeypatch.setenv("MEMORY", "300")
    assert main([*arguments, "--out", str(tmp_path / "small")]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "memory ran out" in line]
    assert told[0].endswith("::ppl[en]: memory ran out, so perplexity is measured in batches of 256 tokens")
    assert len(told) == 2
    assert int(told[1].rpartition("in batches of ")[2].removesuffix(" rows")) in {1, 2, 4}

    large, small = cells(tmp_path / "large"), cells(tmp_path / "small")
    assert large.keys() == small.keys()  # "auto" is one policy, whatever it comes to
    for key, document in small.items():
        whole = large[key]
        assert document["ids"] == whole["ids"]
        if "nll" in whole["values"]:  # what was begun and did not fit is not counted; lm-eval pads its batches
            assert document["edited_activations"] == whole["edited_activations"]
        for name, values in document["values"].items():
            assert values == pytest.approx(whole["values"][name], rel=1e-4, abs=1e-4), (key, name)
        assert "memory ran out" in document["note"]
        assert whole["note"] == ""


def test_what_fits_at_no_size_fails_alone(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MEMORY", "90")  # more than a window, less than some questions
    assert main([*arguments, "--max-length", "64", "--out", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr().out
    assert "baseline::continuation[en]: out of memory at the smallest batch: CUDA out of memory." in printed
    assert "::ppl[" not in printed.partition("Failures")[2]
    assert "14 passed" in printed
