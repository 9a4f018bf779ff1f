"""The ladder of a run: its rungs are what switching off so many of the best neurons does, and it can be taken up again."""

import json
import shutil

import numpy as np
import pytest

from nharness.analysis.ladder import LEVEL, Ladder
from nharness.cli.main import main
from nharness.events import CellFinished
from nharness.models import Edit, apply_edits
from nharness.plugins import Plugins
from nharness.record.model import Record
from nharness.run.line import run
from nharness.run.plan.request import RunRequest
from nharness.run.plan.resolve import resolve
from nharness.run.work.worker import Worker
from nharness.spec import ControlSpec, CorpusSpec, ModelSpec, Named, RunSpec
from nharness.testing import planted_model

LANGUAGES = ("en", "de", "ru")


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    planted = planted_model(LANGUAGES)
    planted.save(folder / "model")
    (folder / "text").mkdir()
    for split in ("detect", "eval"):
        for tag in LANGUAGES:
            rows = [{"id": each.id, "text": each.text} for each in planted.corpus.documents(tag, split)]
            (folder / "text" / f"{split}.{tag}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return RunSpec(
        model=ModelSpec(name=str(folder / "model"), dtype="float32"),
        corpus=CorpusSpec(name=str(folder / "text"), detect_tokens=3000, eval_tokens=600),
        languages=LANGUAGES,
        detectors=(Named(name="lap"),),
        controls=ControlSpec(draws=2, least=2, eval_tokens=200),
        ladder=True,
    )


@pytest.fixture(scope="module")
def first(spec, tmp_path_factory):
    out = tmp_path_factory.mktemp("climbed") / "run"
    return out, run(RunRequest(spec, out), Plugins())


def test_a_rung_is_the_loss_of_so_many_of_the_best(spec, first):
    _, result = first
    worker = Worker(resolve(spec, Plugins()))
    for climber, points in result.ladders.rungs.items():
        text = worker.text(climber.language).documents
        before = sum(item.values["nll"] for item in worker.engine.score(text))
        for units, harm in points.items():
            cell = climber.cells(units, (climber.language,))[0]
            flat = result.ladders.flats[climber][:units]
            widths = np.cumsum([0, *worker.neuron_map.layer_widths])
            edits = [
                Edit.zero(layer, [int(f - widths[layer]) for f in flat if widths[layer] <= f < widths[layer + 1]])
                for layer in range(len(widths) - 1)
                if any(widths[layer] <= f < widths[layer + 1] for f in flat)
            ]
            with apply_edits(worker.loaded.model, worker.neuron_map, edits, backend="hook"):
                after = sum(item.values["nll"] for item in worker.engine.score(text))
            assert harm == pytest.approx((after - before) / before, abs=1e-6)
            assert result.ladders.outcomes[cell].status == "passed"


def test_every_ladder_was_climbed_to_its_end(first):
    _, result = first
    assert {climber.language for climber in result.ladders.rungs} == set(LANGUAGES)
    for climber, points in result.ladders.rungs.items():
        size = len(result.ladders.flats[climber])
        assert Ladder(size, result.ladders.size).next(points) is None
        read = result.ladders.read(climber)
        assert points[read] >= LEVEL or points[read] == max(points.values())
        draws = [cell for cell in result.ladders.outcomes if cell.edition.control is not None]
        assert len([cell for cell in draws if cell.edition.target == f"{climber.language}#{read}"]) == 2


def test_the_same_ladder_again_comes_out_of_the_store(spec, first):
    out, before = first
    heard = []
    after = run(RunRequest(spec, out), Plugins(), listen=heard.append)
    assert after.ladders.rungs == before.ladders.rungs
    cells = [event for event in heard if isinstance(event, CellFinished)]
    assert cells
    assert all(event.outcome.reused for event in cells)


def test_the_record_has_the_headline_and_files_that_give_it(first, capsys):
    _, result = first
    ((path, record),) = result.records.items()
    headline = record.headline
    assert set(headline.languages) == set(LANGUAGES)
    for tag, found in headline.languages.items():
        climber = next(each for each in result.ladders.rungs if each.language == tag)
        points = result.ladders.rungs[climber]
        assert {rung.units: rung.own for rung in found.ladder} == pytest.approx(points, rel=1e-5, abs=1e-9)
    assert headline.estimate.value == pytest.approx(np.mean([found.kept for found in headline.languages.values()]))
    assert main(["validate", "--deep", str(path.parent)]) == 0, capsys.readouterr()


def test_a_forged_headline_is_found(first, tmp_path, capsys):
    _, result = first
    path = next(iter(result.records))
    shutil.copytree(path.parent, tmp_path / "forged")
    forged = tmp_path / "forged" / "record.json"
    document = json.loads(forged.read_text())
    document["headline"]["languages"]["de"]["kept"] = 0.987
    record = Record.model_validate(document).with_id()
    forged.write_text(json.dumps(record.document()))
    assert main(["validate", "--deep", str(forged.parent)]) != 0
    assert "/headline/languages/de/kept" in capsys.readouterr().out
