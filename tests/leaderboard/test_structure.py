"""The section `structure`: in a record that is written, in one that is brought up to date, and proved by nothing else."""

import json

import numpy as np
import pytest

from narrowing import present
from nharness.analysis.structure.section import HarmMatrix, structure_of
from nharness.cli.main import main
from nharness.neurons import load
from nharness.record.validate import load_record
from nharness_leaderboard.deep import deep_problems
from nharness_leaderboard.report import html_report
from synthetic_runs import synthetic_run


def test_recomputing_writes_the_section_where_there_was_none(tmp_path, capsys):
    record = synthetic_run(tmp_path / "run")
    bare = record.model_copy(update={"structure": None}).with_id()
    path = tmp_path / "run" / "record.json"
    path.write_text(json.dumps(bare.document()))
    assert deep_problems(bare, path.parent) == []
    assert main(["migrate", "--recompute", "--in-place", str(path)]) == 0
    capsys.readouterr()
    found = load_record(path)
    assert found.structure == record.structure
    assert deep_problems(found, path.parent) == []


def test_concentration_counts_the_neurons_of_the_file(tmp_path):
    record = synthetic_run(tmp_path)
    detection = load(tmp_path / "neurons.safetensors")
    width = record.model.layer_widths[0]
    held = detection.membership.any(axis=0).reshape(-1, width)
    measures = {(m.name, m.kind): m for m in record.structure.measures}
    assert measures["concentration-last", None].value == pytest.approx(held[-1].sum() / held.sum())
    assert measures["concentration-last", None].expected == pytest.approx(1 / len(held))
    wide = present(detection.candidates).any(axis=0).reshape(-1, width)
    assert measures["concentration-first-all", None].value == pytest.approx(wide[0].sum() / wide.sum())


def test_script_split_is_that_of_the_cells(tmp_path):
    record = synthetic_run(tmp_path, languages=("en", "fr", "zh"))
    cells = {(cell.target, cell.language): cell.change / cell.baseline for cell in record.cells}
    measures = {m.name: m for m in record.structure.measures}
    assert measures["same-script:ppl"].value == pytest.approx(np.mean([cells["en", "fr"], cells["fr", "en"]]))
    other = [cells[pair] for pair in (("en", "zh"), ("fr", "zh"), ("zh", "en"), ("zh", "fr"))]
    assert measures["other-script:ppl"].value == pytest.approx(np.mean(other))


def test_what_steers_has_no_harm_to_split(tmp_path):
    record = synthetic_run(tmp_path)
    matrix = HarmMatrix(record.tasks, record.targets, record.cells, harmful=False)
    found = structure_of(load(tmp_path / "neurons.safetensors"), matrix, record.analysis)
    assert not any(":" in measure.name for measure in found.measures)


def test_report_and_page_say_where_the_neurons_lie(tmp_path, capsys):
    record = synthetic_run(tmp_path, layers=10)
    last = next(m for m in record.structure.measures if m.name == "concentration-last" and m.kind is None)
    line = f"last 2 of 10 layers: {last.value:.1%}".replace("%", " %")
    assert main(["report", str(tmp_path)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    page = html_report(record)
    for text in (line, "stages: no such structure", f"languages by the neurons they share: {record.structure.tree}"):
        assert text in shown
        assert text in page
    assert "languages by the neurons they share" not in html_report(record.model_copy(update={"structure": None}))
