"""The ladder of a run: its rungs are what switching off so many of the best neurons does, and it can be taken up again."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from forging import unproven
from nharness.analysis.ladder import LEVEL, LEVELS, Ladder, rung_read
from nharness.cells import Cell
from nharness.cli.main import main
from nharness.errors import InterruptedRun
from nharness.events import CellFinished, Collected, StageAdvanced, StageStarted
from nharness.models import Edit, apply_edits
from nharness.neurons import load
from nharness.plugins import Plugins
from nharness.record.model import Record
from nharness.record.validate import validate_document
from nharness.run.line import run
from nharness.run.plan.parts import Part, part_of
from nharness.run.plan.planned import planned
from nharness.run.plan.price import climbers, estimated_tokens
from nharness.run.plan.request import RunRequest
from nharness.run.plan.resolve import resolve
from nharness.run.work.worker import Worker
from nharness.spec import ControlSpec, CorpusSpec, ModelSpec, Named, RunSpec
from nharness.testing import planted_model
from nharness_leaderboard.deep import deep_problems

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


def lists(result):
    """Return every climber's list, the best first: of the detection, or of one of its repeats."""
    (path,) = result.records
    whole = load(path.parent / "neurons.safetensors")
    return dict(zip(whole.languages, whole.ranked(), strict=True)), whole.layer_widths


def test_a_rung_is_the_loss_of_so_many_of_the_best(spec, first):
    _, result = first
    flats, layers = lists(result)
    worker = Worker(resolve(spec, Plugins()))
    widths = np.cumsum([0, *layers])
    for climber, points in result.ladders.rungs.items():
        if climber.repeat is not None:
            continue
        text = worker.text(climber.language).documents
        before = sum(item.values["nll"] for item in worker.engine.score(text))
        for units, harm in points.items():
            flat = flats[climber.language][:units]
            edits = [
                Edit.zero(layer, [int(f - widths[layer]) for f in flat if widths[layer] <= f < widths[layer + 1]])
                for layer in range(len(widths) - 1)
                if any(widths[layer] <= f < widths[layer + 1] for f in flat)
            ]
            with apply_edits(worker.loaded.model, worker.neuron_map, edits, backend="hook"):
                after = sum(item.values["nll"] for item in worker.engine.score(text))
            assert harm == pytest.approx((after - before) / before, abs=1e-6)
            assert result.ladders.outcomes[climber.cell(units, climber.language)].status == "passed"


def test_every_ladder_was_climbed_to_its_end(first):
    _, result = first
    flats, widths = lists(result)
    whole = {climber: points for climber, points in result.ladders.rungs.items() if climber.repeat is None}
    assert {climber.language for climber in whole} == set(LANGUAGES)
    for climber, points in whole.items():
        assert Ladder(len(flats[climber.language]), sum(widths)).next(points) is None
        read = rung_read(points)
        assert points[read] >= LEVEL or points[read] == max(points.values())
        draws = [cell for cell in result.ladders.outcomes if cell.edition.control is not None]
        assert len([cell for cell in draws if cell.edition.target == f"{climber.language}#{read}"]) == 2


def test_ladders_cost_no_more_than_they_were_priced_at(spec, first):
    _, result = first
    resolved, plan = planned(spec, Plugins())
    priced = estimated_tokens(resolved, plan) - estimated_tokens(resolved, plan, whole=False)
    assert len({climber for climber in result.ladders.rungs if climber.repeat is None}) == len(
        list(climbers(resolved, plan))
    )
    repeated = len(LANGUAGES) * spec.corpus.detect_tokens
    spent = sum(outcome.tokens for outcome in result.ladders.outcomes.values())
    assert 0 < spent < priced - repeated


def test_what_writes_no_record_climbs_nothing_and_is_not_priced_for_it(spec, tmp_path):
    heard = []
    part = replace(RunRequest(spec, tmp_path / "run"), shard=Part(1, 2))
    assert run(part, Plugins(), listen=heard.append).ladders.outcomes == {}
    resolved, plan = planned(spec, Plugins())
    (told,) = [event for event in heard if isinstance(event, Collected)]
    assert told.forward_tokens == estimated_tokens(resolved, part_of(plan, Part(1, 2)), whole=False)


def test_the_others_are_measured_where_a_level_lies_and_nowhere_else(first):
    _, result = first
    for climber, points in result.ladders.rungs.items():
        ladder = Ladder(max(points), 10**6)
        wanted = ladder.around(points, LEVELS if climber.repeat is None else (LEVEL,))
        for units in points:
            others = [tag for tag in LANGUAGES if tag != climber.language]
            measured = [climber.cell(units, tag) in result.ladders.outcomes for tag in others]
            assert measured == [units in wanted] * len(others)


def test_repeats_climb_from_where_the_whole_was_read_and_widen_the_interval(first):
    _, result = first
    (record,) = result.records.values()
    repeats = {climber.repeat for climber in result.ladders.rungs} - {None}
    assert repeats == {0, 1, 2, 3}
    assert record.headline.repeats == len(record.repeats.parts) == 4
    for climber, points in result.ladders.rungs.items():
        if climber.repeat is not None:
            assert rung_read(result.ladders.rungs[replace(climber, repeat=None)]) in points


def test_the_strongest_neuron_carries_what_is_gone_without_it(first):
    _, result = first
    (record,) = result.records.values()
    for climber, points in result.ladders.rungs.items():
        hinge = None if climber.repeat is not None else record.headline.languages[climber.language].hinge
        if hinge is None:
            continue
        read = rung_read(points)
        spared = result.ladders.outcomes[climber.cell(read, climber.language, without=hinge.unit)]
        intact = result.outcomes[Cell(None, climber.task, climber.language)]
        before, after = (sum(item.values["nll"] for item in each.items) for each in (intact, spared))
        assert hinge.share == pytest.approx(1 - (after - before) / before / points[read], abs=1e-6)
        assert hinge.repeats_with in range(5)


def test_the_same_ladder_again_comes_out_of_the_store(spec, first):
    out, before = first
    heard = []
    after = run(RunRequest(spec, out), Plugins(), listen=heard.append)
    assert after.ladders.rungs == before.ladders.rungs
    (begun,) = [event for event in heard if isinstance(event, StageStarted) and event.stage == "climb"]
    steps = [event for event in heard if isinstance(event, StageAdvanced) and event.stage == "climb"]
    assert len(steps) == len(after.ladders.outcomes) <= begun.total
    cells = [event for event in heard if isinstance(event, CellFinished)]
    assert cells
    assert all(event.outcome.reused for event in cells)


def test_a_run_that_is_stopped_in_a_ladder_goes_on_where_it_was(spec, first, tmp_path):
    _, whole = first
    rungs = []

    def listen(event):
        if isinstance(event, CellFinished) and "#" in event.cell.id:
            rungs.append(event.cell)

    with pytest.raises(InterruptedRun):
        run(RunRequest(spec, tmp_path / "run"), Plugins(), listen=listen, stop=lambda: len(rungs) >= 5)
    before = set(rungs)
    assert 5 <= len(before) < len(whole.ladders.outcomes)
    heard = []
    after = run(RunRequest(spec, tmp_path / "run"), Plugins(), listen=heard.append)
    assert after.ladders.rungs == whole.ladders.rungs
    reused = {event.cell for event in heard if isinstance(event, CellFinished) and event.outcome.reused}
    assert before <= reused
    assert not reused >= set(whole.ladders.outcomes)


def test_the_record_has_the_headline_and_files_that_give_it(first, capsys):
    _, result = first
    ((path, record),) = result.records.items()
    headline = record.headline
    assert set(headline.languages) == set(LANGUAGES)
    for tag, found in headline.languages.items():
        climber = next(each for each in result.ladders.rungs if each.language == tag and each.repeat is None)
        points = result.ladders.rungs[climber]
        assert found.ladder
        for rung in found.ladder:
            assert rung.own == pytest.approx(points[rung.units], rel=1e-5, abs=1e-9)
    assert headline.estimate.value == pytest.approx(np.mean([found.kept for found in headline.languages.values()]))
    assert main(["validate", "--deep", str(path.parent)]) == 0, capsys.readouterr()


def test_every_value_of_a_headline_that_no_file_proves_is_marked_as_asserted(first):
    _, result = first
    ((path, record),) = result.records.items()
    assert not unproven(record, path.parent, ("headline", "repeats", "structure", "stability", "selection"))


def test_a_repeat_is_told_once_and_what_headlines_hang_on_is_not_left_out(first):
    _, result = first
    ((path, record),) = result.records.items()
    document = record.document()
    document["repeats"]["parts"].append(document["repeats"]["parts"][0])
    assert "/repeats/parts/4/name" in {p.pointer for p in validate_document(document, schema=False)[1]}
    for part in ("structure", "headline"):
        problems = deep_problems(record.model_copy(update={part: None}), path.parent)
        assert f"/{part}" in {p.pointer for p in problems}


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
    assert main(["migrate", "--in-place", "--recompute", str(forged)]) == 0
    assert json.loads(forged.read_text())["headline"] == json.loads(path.read_text())["headline"]
