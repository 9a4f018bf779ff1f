"""Where settings come from, and which plug-ins are loaded."""

import json
import re
import sys

import pytest
from pydantic import BaseModel

from nharness.cli.main import main
from nharness.cli.options import ALL, BY_NAME, OWN_OPTIONS, numbers
from nharness.cli.settings import build_spec, configured
from nharness.cli.settings import shown as rows
from nharness.errors import UsageError
from nharness.spec import RunSpec


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shown(capsys, *argv):
    assert main(["run", "--show-config", *argv]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.strip().splitlines()]
    assert lines[0] == ["setting", "value", "from"]
    return {name: (json.loads(value), origin) for name, value, origin in lines[1:]}


def test_every_value_says_where_it_came_from(here, capsys):
    (here / "nharness.toml").write_text('detector = "lape,ternary"\nseed = 7\ncontrols = 3\n')
    found = shown(capsys, "--seed", "8", "--languages", "en,de")
    assert found["seed"] == (8, "command line")
    assert found["controls"] == (3, "nharness.toml")
    assert found["detector"] == ([{"name": n, "options": {}} for n in ("lape", "ternary")], "nharness.toml")
    assert found["languages"] == (["en", "de"], "command line")
    assert found["confidence"] == (0.95, "default")


@pytest.mark.parametrize("argv", [[], ["--corpus", "sample"], ["--tasks", "ppl,xcopa"]])
def test_what_is_shown_is_what_is_run(here, capsys, argv):
    found = shown(capsys, *argv, "--languages", "en,zh")
    assert main(["plan", "--json", *argv, "--languages", "en,zh"]) == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert {cell.partition("::")[2].partition("[")[0] for cell in cells} == set(found["tasks"][0])
    assert found["tasks"][1] == ("command line" if "--tasks" in argv else "default")
    assert found["limit"][0] == (None if argv else 12)


def test_the_command_line_says_all_that_a_study_says():
    """Every value of a specification has one option; only a table's own fields may share `--corpus-args`."""

    def places(model, above=""):
        for name, field in model.model_fields.items():
            kind = field.annotation
            inner = isinstance(kind, type) and issubclass(kind, BaseModel)
            yield from places(kind, f"{above}{name}.") if inner else [f"{above}{name}"]

    single = [option.place for option in ALL if option.place not in OWN_OPTIONS]
    assert len(set(single)) == len(single)
    shared = set(json.loads(next(row for row in rows({}, {}) if row["setting"] == "corpus-args")["value"]))
    assert {*single, *(f"corpus.{name}" for name in shared)} - {"corpus"} == set(places(RunSpec))


def test_a_switch_of_the_file_can_be_switched_off(here, capsys):
    (here / "nharness.toml").write_text("ground-truth = true\n")
    assert shown(capsys)["ground-truth"] == (True, "nharness.toml")
    assert shown(capsys, "--no-ground-truth")["ground-truth"] == (False, "command line")


def test_a_file_for_detectors_is_no_trouble_when_neurons_are_given(here, capsys):
    (here / "nharness.toml").write_text('detector = "dln"\noption = {"dln.top_rate" = 0.1}\nfolds = 2\n')
    assert main(["evaluate", "--neurons", "nowhere.safetensors", "--collect-only"]) == 4
    assert capsys.readouterr().err.startswith("nharness: nowhere.safetensors: no such file")


def test_the_table_in_pyproject_counts_where_there_is_no_file_of_our_own(here, capsys):
    (here / "pyproject.toml").write_text('[project]\nname = "x"\n[tool.nharness]\nseed = 9\nlanguages = ["en", "fr"]\n')
    found = shown(capsys)
    assert found["seed"] == (9, "pyproject.toml")
    assert found["languages"] == (["en", "fr"], "pyproject.toml")
    (here / "nharness.toml").write_text("seed = 1\n")
    assert shown(capsys)["seed"] == (1, "nharness.toml")


def test_file_and_command_line_make_the_same_specification(here):
    (here / "nharness.toml").write_text(
        'languages = ["English", "deu_Latn"]\neval-tokens = 700\noption = "top_rate=0.02"\n'
    )
    from_file = build_spec(configured(here)[0])
    assert from_file.languages == ("en", "de")
    assert from_file.corpus.eval_tokens == 700
    assert from_file.detectors[0].options == {"top_rate": 0.02}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sed = 7", "nharness.toml:1: unknown setting 'sed'; did you mean 'seed'?"),
        ("seed = = 7", "nharness.toml:1: not TOML"),
        ("\nlimit = 0", "nharness.toml:2: --limit is 0; expected a whole number at least 1"),
        ('seed = "many"', "nharness.toml:1: --seed is 'many'; expected a whole number"),
        ("tasks = 5", "nharness.toml:1: --tasks is 5; expected a list, each a text"),
        ("languages = 5", "nharness.toml:1: --languages is 5; expected a list of language tags"),
        ('languages = ["en", "xx"]', "nharness.toml:1: unknown language 'xx'"),
        ("option = 5", "nharness.toml:1: --option is 5; expected a table, or a text such as"),
        ('option = "top_rate"', "nharness.toml:1: 'top_rate' in 'top_rate'; expected key=value"),
        ('detector = ["lape", 5]', "nharness.toml:1: --detector is 5; expected a table"),
        ("ground-truth = 5", "nharness.toml:1: --ground-truth is 5; expected true or false"),
        ("strength = [0.5, 0.5]", "nharness.toml:1: --strength is [0.5, 0.5]; expected each once"),
        ("[model-args]\ndtype = 'f32'", "nharness.toml:1: --model-args is {'dtype': 'f32'}; expected auto, float32"),
    ],
)
def test_a_faulty_file_says_what_is_wrong(here, text, message):
    (here / "nharness.toml").write_text(text)
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        configured(here)
    assert "\n" not in str(caught.value)


def test_lists_in_a_file_are_read_entry_by_entry(here):
    (here / "nharness.toml").write_text(
        'claim = ["selectivity > 0, ", "on_target > 1"]\ndetector = ["lape,dln", {name = "random"}]\nstrength = [0.5, 1]\n'
    )
    found = configured(here)[0]
    assert [claim["statement"] for claim in found["claim"]] == ["selectivity > 0, ", "on_target > 1"]
    assert [detector["name"] for detector in found["detector"]] == ["lape", "dln", "random"]
    assert found["strength"] == [0.5, 1]


@pytest.mark.parametrize("text", ["tool = 5", "[tool]\nnharness = 5", "[tool]\nother = 1"])
def test_a_pyproject_of_others_is_no_trouble(here, text, capsys):
    (here / "pyproject.toml").write_text(text)
    code = main(["run", "--show-config"])
    assert (code, "pyproject.toml: tool.nharness is 5; expected a table" in capsys.readouterr().err) == (
        (4, True) if "nharness" in text else (0, False)
    )


def test_a_value_out_of_range_is_refused_with_its_option(here, capsys):
    (here / "nharness.toml").write_text("controls = -1\n")
    assert main(["plan", "--detector", "lape", "--languages", "en,de"]) == 4
    assert "--controls is -1" in capsys.readouterr().err


def test_a_blocked_plugin_is_neither_imported_nor_used(here, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "nharness_top_mean", raising=False)
    assert main(["plan", "--detector", "top-mean", "--languages", "en,de", "-p", "no:top_mean"]) == 4
    assert "unknown detector 'top-mean'" in capsys.readouterr().err
    assert "nharness_top_mean" not in sys.modules
    assert main(["list", "plugins", "--json", "-p", "no:top_mean"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["top_mean"]["status"] == "blocked"
    assert rows["executors"]["hooks"] == ["nharness_register_executors", "nharness_register_task_runners"]


def test_without_autoload_only_named_plugins_are_there(here, capsys, monkeypatch):
    monkeypatch.setenv("NHARNESS_DISABLE_PLUGIN_AUTOLOAD", "1")
    assert main(["plan", "--detector", "lape"]) == 4
    assert "unknown detector 'lape'" in capsys.readouterr().err
    named = [part for name in ("detectors", "tasks", "executors") for part in ("-p", name)]
    assert main(["plan", "--detector", "lape", "--languages", "en,de", "-q", *named]) == 0
    assert "cells" in capsys.readouterr().out


def numeric(option):
    """Return the JSON Schema of the numbers that an option takes, None for an option without numbers."""
    schema = whole = RunSpec.model_json_schema()
    for part in option.place.split("."):
        schema = schema.get("properties", {}).get(part, {})
        schema = whole["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    kinds = [schema, schema.get("items", {}), *schema.get("anyOf", ())]
    return next((kind for kind in kinds if kind.get("type") in {"integer", "number"}), None)


NUMERIC = {option.flag: schema for option in ALL if (schema := numeric(option)) is not None}


def out_of_range():
    for flag, schema in NUMERIC.items():
        whole = schema["type"] == "integer"
        bad = ["x", "", "nan", "inf", "9" * 400]
        bad += ["1.5"] if whole else []
        bad += [
            str(schema[key] - (0 if key.startswith("excl") else 1))
            for key in ("minimum", "exclusiveMinimum")
            if key in schema
        ]
        bad += [str(schema[key] + 1) for key in ("maximum",) if key in schema]
        yield from ((flag, value) for value in bad if value or BY_NAME[flag.lstrip("-")].read is not numbers)


def test_every_number_has_a_least_value_but_the_strengths():
    assert len(NUMERIC) > 14
    assert {flag for flag, schema in NUMERIC.items() if not {"minimum", "exclusiveMinimum"} & set(schema)} == {
        "--strength"
    }


@pytest.mark.parametrize(("flag", "value"), list(out_of_range()))
def test_a_number_out_of_range_is_told_with_the_range(here, capsys, flag, value):
    code = main(["plan", "--languages", "en,de", f"{flag}={value}"])
    told = capsys.readouterr().err.strip()
    assert code == 4
    assert "\n" not in told
    assert told.startswith(f"nharness: {flag} is ")
    expected = told.partition("expected ")[2]
    bounds = [NUMERIC[flag][key] for key in ("minimum", "exclusiveMinimum", "maximum") if key in NUMERIC[flag]]
    assert all(f"{bound:g}" in expected or f"{bound:,}" in expected for bound in bounds), told


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--workers", "0"], "argument --workers: '0'; expected a whole number at least 1"),
        (["--workers", "two"], "argument --workers: 'two'; expected a whole number at least 1"),
        (["--maxfail", "-1"], "argument --maxfail: '-1'; expected a whole number at least 0"),
        (["--durations", "-1"], "argument --durations: '-1'; expected a whole number at least 0"),
        (["--durations", "1.5"], "argument --durations: '1.5'; expected a whole number at least 0"),
    ],
)
def test_numbers_of_the_run_itself(here, capsys, argv, message):
    with pytest.raises(SystemExit) as stopped:
        main(["run", *argv])
    assert stopped.value.code == 4
    assert capsys.readouterr().err == f"nharness run: {message}; see nharness run --help\n"


def test_documents_to_fetch(capsys):
    with pytest.raises(SystemExit, match=r"^4$"):
        main(["prefetch", "--corpus", "sample", "--documents", "0", "--out", "there"])
    assert "argument --documents: '0'; expected a whole number at least 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--shard", "0/2"], "--shard is '0/2'; expected i/n"),
        (["--executor", "rey"], "unknown executor 'rey'; did you mean 'ray'?"),
        (
            ["--dtype", "flot32"],
            "--dtype is 'flot32'; expected auto, float32, bfloat16, float16, float64; did you mean 'float32'?",
        ),
        (["--model-args", "dtype=half"], "--model-args is {'dtype': 'half'}; expected auto, float32"),
        (["--device", "GPU 1"], "--device is 'GPU 1'; expected auto, cpu, or a kind of device with its number"),
        (["--intervention", "steer"], "intervention steer needs --source-language, whose neurons it switches off"),
        (["--intervention", "steer", "--source-language", "dd"], "unknown language 'dd'"),
        (["--intervention", "steer", "--source-language", "fr"], "unknown language of the run 'fr'; known: de, en"),
        (["--detector", "lape,lape"], "a detector is named twice"),
        (["--intervention", "zero,zero"], "an intervention is named twice"),
        (["--tasks", "ppl,ppl"], "--tasks is ['ppl', 'ppl']; expected each once, 'ppl' is repeated"),
        (["--kinds", "general,general"], "--kinds is ['general', 'general']; expected each once"),
        (["--control-tasks", "ppl,ppl"], "--control-tasks is ['ppl', 'ppl']; expected each once"),
        (["--budget-curve", "0.1,0.10"], "--budget-curve is [0.1, 0.1]; expected each once"),
        (["--intervention", "scale", "--strength", "1,1.0"], "--strength is [1.0, 1.0]; expected each once"),
        (["--corpus-args", "text_colum=a"], "unknown setting in corpus 'text_colum'; did you mean 'text_column'?"),
    ],
)
def test_slips_are_told_before_a_tensor_library_is_loaded(here, capsys, monkeypatch, argv, message):
    monkeypatch.setitem(sys.modules, "nharness.cli.session", None)  # importing what would run it is an error
    assert main(["run", "--languages", "en,de", *argv]) == 4
    told = capsys.readouterr().err
    assert f"nharness: {message}" in told
    assert told.count("\n") == 1
