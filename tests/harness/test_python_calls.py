"""Every command is a call: evaluation, comparison, claims, export, and the rest by its words; a real notebook shows a run."""

import json
import re
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

import nharness
import nharness_tasks
from narrowing import present
from nharness.cli.main import COMMANDS, main
from nharness.errors import FileFormatError, UnknownNameError, UsageError
from small_run import SMALL

ROOT = Path(__file__).resolve().parents[2]
BABEL = Path(nharness_tasks.__file__).parent / "babel" / "model"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("calls")


@pytest.fixture(scope="module")
def found(place):
    return nharness.run(detector=["lape", "lap"], out=place / "run", **SMALL)


def test_the_page_has_a_call_for_every_command():
    table = (ROOT / "docs" / "python.md").read_text(encoding="utf-8").partition("## Every command")[2]
    rows = re.findall(r"^\| (`.*?) \| (.*?) \|$", table, re.MULTILINE)
    named = [word for first, _ in rows for word in re.findall(r"`(\w+)`", first)]
    assert sorted(named) == sorted(COMMANDS)
    for _, call in rows:
        for name in re.findall(r"`nharness\.(\w+)\(", call):
            assert name in nharness.__all__


def test_a_file_is_evaluated_as_the_run_did(found, place):
    path, record = next(iter(found.paths.items()))
    again = nharness.evaluate(path.parent, out=place / "again", **SMALL)
    assert [cell.change for cell in again.records[0].cells] == [cell.change for cell in record.cells]
    with pytest.raises(UsageError, match="is evaluated; leave out detector"):
        nharness.evaluate(path.parent, detector="lape")


def test_records_are_compared_as_the_command_does(found, capsys):
    first, second = found.paths
    (task,) = nharness.compare(first, second.parent)
    assert main(["compare", str(first), str(second), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert present(task.selectivity).value == told["selectivity"]["value"]
    assert [cell.first - cell.second for cell in task.cells] == pytest.approx([cell.difference for cell in task.cells])
    with pytest.raises(UsageError, match="holds 2 records; name one of them"):
        nharness.compare(first.parents[2], second)
    with pytest.raises(FileFormatError, match="no record"):
        nharness.compare(first.parents[3] / "nothing", second)


def test_claims_are_held_against_records_and_files(found):
    lines = nharness.check_claims(found.records, "selectivity > -9")
    assert [each.verdict for each in lines] == ["holds", "holds"]
    (one,) = nharness.check_claims([next(iter(found.paths))], "selectivity > 99")
    assert one.verdict == "fails"
    assert nharness.check_claims(found.records[0], "selectivity > 99")[0].verdict == "fails"
    with pytest.raises(UsageError, match="selectivty"):
        nharness.check_claims(found.records, "selectivty > 0")


def test_a_model_is_written_with_its_edit(place):
    model = AutoModelForCausalLM.from_pretrained(BABEL, dtype=torch.float32).eval()
    ids = torch.arange(5, 25)[None]
    with nharness.apply(model, [(0, 3), (2, 9)]), torch.no_grad():
        expected = model(ids).logits
    nharness.export(model, [(0, 3), (2, 9)], place / "edited")
    written = AutoModelForCausalLM.from_pretrained(place / "edited", dtype=torch.float32).eval()
    with torch.no_grad():
        torch.testing.assert_close(written(ids).logits, expected)
    nharness.export(model, [(0, 3)], place / "s.pt", intervention="constant", options={"value": 2.0}, form="steered")
    assert list(torch.load(place / "s.pt")) == ["layers.0.mlp.act_fn"]


def test_any_command_is_its_words(found, place, capsys):
    listed = nharness.command("list", "detectors", "--json")
    assert "lape" in {row["name"] for row in listed.document}
    path = next(iter(found.paths))
    assert nharness.command("validate", "--deep", str(path)).exit_code == 0
    damaged = place / "damaged.json"
    damaged.write_text(path.read_text().replace('"ppl"', '"pplx"', 1))
    said = nharness.command("validate", "--no-files", str(damaged))
    assert said.exit_code == 1
    assert "problem" in said.text
    assert "usage: nharness detect" in nharness.command("detect", "--help").text
    with pytest.raises(UnknownNameError, match="did you mean 'detect'"):
        nharness.command("detct")
    with pytest.raises(UsageError, match=r"detect: .*required"):
        nharness.command("detect", "lape")
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Jupyter's own parts
def test_a_notebook_shows_a_run(tmp_path):
    """In a real kernel: progress while it runs, then tables and a chart."""
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    run = f"import nharness; result = nharness.run(detector='lape', out={str(tmp_path / 'run')!r}, **{SMALL!r})"
    cells = [nbformat.v4.new_code_cell(text) for text in (run, "result", "result.plot('ppl')", "result.matrix('ppl')")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client.NotebookClient(
        notebook, timeout=400, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    shown = [[output.get("data", {}) for output in cell.outputs] for cell in notebook.cells]
    progress = next(data["text/html"] for data in shown[0] if "text/html" in data)
    assert "lape/zero::ppl (change so far)" in progress
    assert "<progress" not in progress  # it is over
    assert "bits per byte" in shown[1][-1]["text/html"]
    assert "vega" in shown[2][-1]["text/html"]
    record = nharness.load_record(tmp_path / "run")
    assert f"{record.cells[0].change:+.4f}" in shown[3][-1]["text/html"]


def test_a_notebook_is_drawn_as_the_run_goes_on():
    """Without a kernel: what is drawn after each event, and not more often than four times a second."""
    from nharness.events import Noted, StageAdvanced, StageFinished, StageStarted
    from nharness.interactive.shown import NotebookDisplay

    drawn, now = [], [0.0]

    class Handle:
        def update(self, html):
            drawn.append(html.data)

    shown = NotebookDisplay(show=lambda _: Handle(), clock=lambda: now[0])
    for moment, event in (
        (0.1, StageStarted("record", 100, "documents")),
        (0.3, StageAdvanced("record", 25, 1000)),
        (0.4, StageAdvanced("record", 25, 1000)),
        (0.6, Noted("warning", "<b>odd</b>")),
        (0.9, StageFinished("record", 0.5, reused=False, summary="100 documents")),
    ):
        now[0] = moment
        shown(event)
    shown.close()
    assert len(drawn) == 4
    assert '<progress value="0.250">' in drawn[0]
    assert "25/100 documents" in drawn[0]
    assert "warning: &lt;b&gt;odd&lt;/b&gt;" in drawn[1]
    assert "<progress" not in drawn[-1]
    assert "record" in drawn[-1]
