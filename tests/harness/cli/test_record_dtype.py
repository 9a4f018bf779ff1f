"""`--record-dtype`: neurons are found in one number type and measured in another."""

import json
import sys

import pytest
import torch

from nharness.cli.main import main
from nharness.neurons import load
from nharness.record.specification import specification
from nharness.record.validate import load_record
from nharness.run import line

ALL_OF_IT = ["--ladder", "--folds", "2", "--detect-tokens", "2000"]


def made(arguments, out, store):
    assert main([*arguments, *ALL_OF_IT, "--out", str(out), "--store", str(store)]) == 0
    folder = out / "records" / "lape-zero"
    return load_record(folder / "record.json", files=True), load(next(folder.glob("neurons*.safetensors")))


def values(record):
    return {(each.task, each.language): each.value for each in record.baseline}


@pytest.fixture(scope="module")
def runs(tiny_run, tmp_path_factory):
    root = tmp_path_factory.mktemp("types")
    types = {
        "half": ["--dtype", "bfloat16"],
        "whole": ["--dtype", "float32"],
        "mixed": ["--dtype", "float32", "--record-dtype", "bfloat16"],
    }
    return {name: made([*tiny_run, *options], root / name, root / f"store-{name}") for name, options in types.items()}


def test_neurons_are_those_of_the_one_type_and_values_those_of_the_other(runs):
    (half, found_half), (whole, found_whole), (mixed, found_mixed) = (runs[name] for name in ("half", "whole", "mixed"))
    assert (found_mixed.score == found_half.score).all()
    assert not (found_mixed.score == found_whole.score).all()
    assert [each.digest for each in mixed.targets] == [each.digest for each in half.targets]
    assert mixed.stability == half.stability
    assert values(mixed) == values(whole) != values(half)
    assert mixed.headline is not None


def test_records_name_both_types(runs):
    types = {name: (record.model.dtype, record.model.record_dtype) for name, (record, _) in runs.items()}
    assert types == {
        "half": ("bfloat16", "bfloat16"),
        "whole": ("float32", "float32"),
        "mixed": ("float32", "bfloat16"),
    }
    again = {name: specification(record).model for name, (record, _) in runs.items()}
    assert {name: (model.dtype, model.record_dtype) for name, model in again.items()} == {
        "half": ("bfloat16", None),
        "whole": ("float32", None),
        "mixed": ("float32", "bfloat16"),
    }


def test_both_parts_are_taken_from_stores_of_runs_of_one_type(runs, tiny_run, tmp_path, capsys):
    del runs
    store = tmp_path / "store"
    for name in ("bfloat16", "float32"):
        made([*tiny_run, "--dtype", name], tmp_path / name, store)
    capsys.readouterr()
    loud = [each for each in tiny_run if each not in ("-q", "-qq")]
    made([*loud, "--dtype", "float32", "--record-dtype", "bfloat16"], tmp_path / "mixed", store)
    told = capsys.readouterr().err
    assert "dtype float32 (recorded in bfloat16)" in told
    assert next(line for line in told.splitlines() if line.startswith("record:")).endswith("(reused)")


def test_parts_are_joined_to_the_same(runs, tiny_run, tmp_path):
    mixed, _ = runs["mixed"]
    asked = [*tiny_run, "--detect-tokens", "2000", "--dtype", "float32", "--record-dtype", "bfloat16"]
    parts = [str(tmp_path / f"part{number}") for number in (1, 2)]
    for number, part in enumerate(parts, 1):
        assert main([*asked, "--shard", f"{number}/2", "--out", part]) == 0
    assert main(["collect", *parts, "--out", str(tmp_path / "whole"), "-q"]) == 0
    joined = load_record(tmp_path / "whole" / "records" / "lape-zero" / "record.json", files=True)
    assert (joined.model.dtype, joined.model.record_dtype) == ("float32", "bfloat16")
    assert [each.digest for each in joined.targets] == [each.digest for each in mixed.targets]
    assert joined.cells == mixed.cells
    other = tmp_path / "part2" / "recording.json"
    other.write_text(json.dumps(json.loads(other.read_text()) | {"torch": "1.0"}))
    assert main(["collect", *parts, "--out", str(tmp_path / "again"), "-q"]) == 4


def test_answers_and_statistics_of_a_recording_alone_follow_the_configuration(tiny_run, tmp_path, monkeypatch):
    model = tiny_run[tiny_run.index("--model") + 1]
    (tmp_path / "nharness.toml").write_text('record-dtype = "bfloat16"\n')
    monkeypatch.chdir(tmp_path)
    asked = ["record", "--detector", "lape", "--model", model, "--languages", "en,de", "--detect-tokens", "300"]
    assert main([*asked, "--out", "configured.safetensors"]) == 0
    assert main([*asked, "--dtype", "bfloat16", "--out", "asked.safetensors"]) == 0
    assert (tmp_path / "configured.safetensors").read_bytes() == (tmp_path / "asked.safetensors").read_bytes()


def test_neurons_from_a_file_need_no_second_model(tiny_run, tmp_path, monkeypatch, capsys):
    model = tiny_run[tiny_run.index("--model") + 1]
    languages = ["--model", model, "--languages", "en,de", "--detect-tokens", "300"]
    assert main(["record", "--detector", "lape", *languages, "--out", str(tmp_path / "s.safetensors")]) == 0
    neurons = str(tmp_path / "n.safetensors")
    found = ["detect", "lape", "--statistics", str(tmp_path / "s.safetensors"), "--option", "top_rate=0.1"]
    assert main([*found, "--out", neurons]) == 0
    (tmp_path / "nharness.toml").write_text('record-dtype = "bfloat16"\n')
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    asked = [*languages, "--eval-tokens", "250", "--tasks", "ppl", "--controls", "0", "--out", str(tmp_path / "out")]
    assert main(["evaluate", "--neurons", neurons, *asked]) == 0
    assert capsys.readouterr().err.count("load: ") == 1


@pytest.mark.parametrize("command", ["record", "evaluate", "inspect"])
def test_commands_of_one_type_do_not_have_it(command, capsys):
    with pytest.raises(SystemExit) as ended:
        sys.exit(main([command, "--record-dtype", "float32", "--help"]))
    del ended
    assert "--record-dtype" not in capsys.readouterr().out


def test_a_type_that_is_none_is_answered_with_the_nearest(tiny_run, tmp_path, capsys):
    assert main([*tiny_run, "--record-dtype", "bfloat61", "--out", str(tmp_path)]) == 4
    assert "bfloat16" in capsys.readouterr().err


@pytest.fixture
def times_told(tiny_run, tmp_path, monkeypatch, capsys):
    """How often a run names a faster type, by the weights' type and by whether the CPU multiplies bfloat16."""
    monkeypatch.setattr(line, "LARGE", 1)

    def run(dtype, *, able):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": able}, raising=False)
        loud = [each for each in tiny_run if each not in ("-q", "-qq")]
        out = str(tmp_path / f"{dtype}{able}")
        assert main([*loud, "--dtype", dtype, "--controls", "0", "--device", "cpu", "--out", out]) == 0
        return capsys.readouterr().err.count("--dtype bfloat16 would be faster here")

    return run


def test_a_faster_type_is_named_where_there_is_one(times_told):
    assert times_told("float32", able=True) == 1
    assert times_told("bfloat16", able=True) == 0
    assert times_told("float32", able=False) == 0
