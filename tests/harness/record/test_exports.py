"""Tables and the every-eval-ever export, and bringing older formats up."""

import csv
import io
import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from jsonschema import Draft7Validator
from synthetic_records import synthetic_record

from nharness.errors import FileFormatError
from nharness.record.evalever import to_every_eval_ever
from nharness.record.migrate import migrate
from nharness.record.tables import cell_rows, neuron_rows, summary_rows, to_csv, to_latex, to_markdown
from nharness.record.validate import validate_document


@pytest.fixture(scope="module")
def record():
    return synthetic_record(detector="synthetic_lape", notes="=cmd()|'x'")


def test_csv_keeps_every_digit(record):
    rows = list(csv.DictReader(io.StringIO(to_csv(cell_rows(record)))))
    assert len(rows) == len(record.cells)
    assert [float(row["change"]) for row in rows] == [cell.change for cell in record.cells]
    assert {len(row) for row in rows} == {len(cell_rows(record)[0])}


def test_csv_runs_no_formula():
    text = to_csv([{"a": "=1+1", "b": "@x", "c": -1.5, "d": "plain"}])
    assert text == "a,b,c,d\r\n'=1+1,'@x,-1.5,plain\r\n"


def test_latex_and_markdown_are_escaped(record):
    latex = to_latex([{"a_b": r"50% & $x$ \input{x} #1", "n": 0.123456}])
    assert r"50\% \& \$x\$ \textbackslash{}input\{x\} \#1 & 0.1235 \\" in latex
    assert latex.startswith("\\begin{tabular}{lr}")
    markdown = to_markdown([{"a": "<script>|\n[x](y)", "n": 1}])
    assert "\\<script\\>\\| \\[x\\](y)" in markdown
    assert "|---|---:|" in markdown
    assert r"synthetic\_lape" in to_latex(summary_rows([record]))


def test_neuron_rows_have_every_language_and_layer(record):
    rows = neuron_rows(record)
    assert [row["language"] for row in rows] == list(record.languages)
    assert all(sum(row[f"layer_{i}"] for i in range(4)) == row["neurons"] for row in rows)


def test_empty_tables_are_empty():
    assert to_csv([]) == to_latex([]) == to_markdown([]) == ""


def test_every_eval_ever_document(record):
    document = to_every_eval_ever(record)
    assert len(document["evaluation_results"]) == len(record.baseline) + len(record.cells)
    first = document["evaluation_results"][len(record.baseline)]
    assert first["score_details"]["score"] == record.cells[0].edited
    assert first["metric_config"]["lower_is_better"] is True
    assert {"deployment_type", "model_availability"} <= set(document["model_info"]["additional_details"])
    assert all(
        isinstance(v, str) for r in document["evaluation_results"] for v in r["score_details"]["details"].values()
    )


def test_every_eval_ever_schema(record):
    spec = find_spec("every_eval_ever")
    if spec is None or spec.origin is None:
        pytest.skip("the every-eval-ever package, which holds its schema, is not installed (it needs Python 3.12)")
    schema = json.loads((Path(spec.origin).parent / "schemas" / "eval.schema.json").read_text())
    Draft7Validator(schema).validate(to_every_eval_ever(record))


def test_migrating_the_newest_format_changes_nothing(record):
    assert migrate(record.document()) == record.document()


def test_steps_are_followed_and_the_key_renewed(record):
    older = record.document() | {"format": "nharness-record/0"}
    older["detectors_name"] = older["detector"].pop("name")

    def step(document):
        document["detector"]["name"] = document.pop("detectors_name")
        return document | {"format": "nharness-record/1"}

    migrated = migrate(older, steps={"nharness-record/0": step})
    assert validate_document(migrated)[1] == []
    assert "detectors_name" in older


def test_unknown_formats_and_loops_are_refused(record):
    with pytest.raises(FileFormatError, match="cannot be brought up"):
        migrate(record.document() | {"format": "other/3"})
    with pytest.raises(FileFormatError, match="cannot be brought up"):
        migrate({"format": "a"}, steps={"a": lambda d: d})
