"""Tables and the every-eval-ever export, and bringing older formats up."""

import csv
import io
import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from documents import leaves
from nharness.cli.main import main
from nharness.errors import FileFormatError
from nharness.record.evalever import to_every_eval_ever
from nharness.record.migrate import migrate
from nharness.record.model import content_id
from nharness.record.tables import cell_rows, neuron_rows, summary_rows, to_csv, to_latex, to_markdown
from nharness.record.validate import load_record, validate_document
from synthetic_records import synthetic_record

SCHEMA_1 = Path(__file__).resolve().parents[3] / "leaderboard" / "schema" / "record-1.json"


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
    assert all(sum(int(str(row[f"layer_{i}"])) for i in range(4)) == row["neurons"] for row in rows)


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
        return document | {"format": "nharness-record/2"}

    migrated = migrate(older, steps={"nharness-record/0": step})
    assert validate_document(migrated)[1] == []
    assert "detectors_name" in older


def format_1(document):
    """Return the document as format 1 had it, with the key it had."""
    schema = json.loads(SCHEMA_1.read_text(encoding="utf-8"))

    def cut(part, shape):
        shape = next((s for s in shape.get("anyOf", [shape]) if s.get("type") != "null"), shape)
        shape = schema["$defs"][shape["$ref"].rpartition("/")[2]] if "$ref" in shape else shape
        if isinstance(part, dict) and "properties" in shape:
            return {k: cut(part[k], shape["properties"][k]) for k in part if k in shape["properties"]}
        if isinstance(part, list) and "items" in shape:
            return [cut(each, shape["items"]) for each in part]
        return part

    older = cut(document, schema) | {"format": "nharness-record/1"}
    older["identity"]["id"] = content_id(older)
    Draft202012Validator(schema).validate(older)
    return older


def test_format_1_comes_up_complete_and_with_every_number(record):
    older = format_1(record.document())
    newest = migrate(older)
    assert newest == record.document() | {"identity": record.document()["identity"] | {"id": newest["identity"]["id"]}}
    before, after = dict(leaves(older)), dict(leaves(newest))
    changed = {place for place, value in before.items() if after[place] != value}
    assert changed == {("format",), ("identity", "id")}
    assert {after[place] for place in after.keys() - before.keys()} <= {None, "mlp", "harm", "nharness", "lm-eval"}


def test_format_1_is_read_everywhere_and_a_changed_one_is_not(record, tmp_path, capsys):
    path = tmp_path / "record.json"
    path.write_text(json.dumps(format_1(record.document())))
    assert load_record(path).model == record.model
    assert main(["validate", str(path)]) == 0
    assert main(["report", str(path)]) == 0
    lie = format_1(record.document())
    lie["identity"]["command"] = "another command"  # format 1 has it in its key
    path.write_text(json.dumps(lie))
    assert main(["validate", str(path)]) == 1
    assert "its content was changed" in capsys.readouterr().out


def test_in_place_a_folder_named_after_the_id_is_renamed(record, tmp_path):
    older = format_1(record.document())
    folder = tmp_path / older["identity"]["id"][:12]
    folder.mkdir()
    (folder / "record.json").write_text(json.dumps(older))
    assert main(["migrate", "--in-place", str(folder / "record.json")]) == 0
    (found,) = tmp_path.iterdir()
    assert found.name == load_record(found / "record.json").identity.id[:12] != folder.name
    assert main(["migrate", "--in-place", str(found / "record.json")]) == 0
    assert [found] == list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", [None, 1, [], "x", [1], {"splits": [1]}])
def test_damaged_documents_of_format_1_are_problems(record, damage):
    for part in ("identity", "model", "corpus", "tasks", "cells", "summary", "neurons", "cost"):
        document = format_1(record.document()) | {part: damage}
        if part != "identity":
            document["identity"] = document["identity"] | {"id": content_id(document)}
        assert validate_document(document)[1]


def test_the_id_is_of_the_measurement_not_of_the_command(record):
    identity = record.identity.model_copy(
        update={"command": "nharness run --out elsewhere", "created": "2020-01-01T00:00:00Z"}
    )
    assert record.model_copy(update={"identity": identity}).with_id().identity.id == record.identity.id


def test_unknown_formats_and_loops_are_refused(record):
    with pytest.raises(FileFormatError, match="cannot be migrated"):
        migrate(record.document() | {"format": "other/3"})
    with pytest.raises(FileFormatError, match="cannot be migrated"):
        migrate({"format": "a"}, steps={"a": lambda d: d})
