"""`--record-dtype`: neurons are found in one number type and measured in another."""

import sys

import pytest

from nharness.cli.main import main
from nharness.neurons import load
from nharness.record.specification import specification
from nharness.record.validate import load_record

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


def test_answers_and_statistics_of_a_recording_alone_follow_the_configuration(tiny_run, tmp_path, monkeypatch):
    model = tiny_run[tiny_run.index("--model") + 1]
    (tmp_path / "nharness.toml").write_text('record-dtype = "bfloat16"\n')
    monkeypatch.chdir(tmp_path)
    asked = ["record", "--detector", "lape", "--model", model, "--languages", "en,de", "--detect-tokens", "300"]
    assert main([*asked, "--out", "configured.safetensors"]) == 0
    assert main([*asked, "--dtype", "bfloat16", "--out", "asked.safetensors"]) == 0
    assert (tmp_path / "configured.safetensors").read_bytes() == (tmp_path / "asked.safetensors").read_bytes()


@pytest.mark.parametrize("command", ["record", "evaluate", "inspect"])
def test_commands_of_one_type_do_not_have_it(command, capsys):
    with pytest.raises(SystemExit) as ended:
        sys.exit(main([command, "--record-dtype", "float32", "--help"]))
    del ended
    assert "--record-dtype" not in capsys.readouterr().out


def test_a_type_that_is_none_is_answered_with_the_nearest(tiny_run, tmp_path, capsys):
    assert main([*tiny_run, "--record-dtype", "bfloat61", "--out", str(tmp_path)]) == 4
    assert "bfloat16" in capsys.readouterr().err
