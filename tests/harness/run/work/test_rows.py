"""Cells of several editions in rows of shared passes: outcomes as those of one edition after the other."""

from dataclasses import replace

import numpy as np
import pytest

from nharness.cells import Cell, Edition
from nharness.evaluation.perplexity import PerplexityEngine
from nharness.intervention import Change
from nharness.plugins import Plugins
from nharness.run.plan.resolve import resolve
from nharness.run.work.jobs import Job
from nharness.run.work.worker import Worker
from nharness.spec import CorpusSpec, ModelSpec, RunSpec, TaskOptions

EDITIONS = [Edition("lape", "fr", "zero", control) for control in (None, 0, 1, 2, 3)]


@pytest.fixture(scope="module")
def worker():
    spec = RunSpec(
        model=ModelSpec(dtype="float32"),
        languages=("de", "fr"),
        tasks=("ppl", "continuation"),
        task_options=TaskOptions(limit=2),
        corpus=CorpusSpec(eval_tokens=300),
    )
    return Worker(resolve(spec, Plugins()))


@pytest.fixture
def jobs(worker):
    """A job for each edition, with other neurons each, scaled by another factor, and one in French alone."""
    width, found = sum(worker.neuron_map.layer_widths), []
    for number, edition in enumerate(EDITIONS):
        flat = np.arange(number, width, 97)
        scale = np.full(len(flat), number / 10, dtype=np.float32)
        change = Change("hidden", flat, scale, np.zeros(len(flat), dtype=np.float32))
        tasks = [task for task in worker.resolved.tasks if number < 4 or (task.name, task.language) == ("ppl", "fr")]
        cells = tuple(Cell(edition, task.name, task.language) for task in tasks)
        found.append(Job(edition, (change,), cells, tuple(cell.id for cell in cells)))
    return found


@pytest.fixture
def together(monkeypatch):
    """How many editions shared the passes over a text, text after text."""
    counts, score = [], PerplexityEngine.score_in_rows

    def counted(self, documents, rows, **options):
        counts.append(len(rows))
        return score(self, documents, rows, **options)

    monkeypatch.setattr(PerplexityEngine, "score_in_rows", counted)
    return counts


def one_by_one(worker, jobs):
    return {d.cell: (d.key, d.outcome) for job in jobs for d in worker.evaluate(job, worker.resolved.corpus)}


def side_by_side(worker, jobs):
    done = [(d.cell, (d.key, d.outcome)) for d in worker.evaluate_together(jobs, worker.resolved.corpus)]
    assert len(dict(done)) == len(done)
    return dict(done)


def test_outcomes_are_those_of_one_edition_after_the_other(worker, jobs, together):
    alone, found = one_by_one(worker, jobs), side_by_side(worker, jobs)
    assert found.keys() == alone.keys()
    assert sorted(together) == [4, 5]  # draws and target have one text here
    for cell, (key, outcome) in found.items():
        _, expected = alone[cell]
        assert key == cell.id
        assert (outcome.status, outcome.tokens, outcome.edited_activations) == (
            "passed",
            expected.tokens,
            expected.edited_activations,
        )
        assert [item.id for item in outcome.items] == [item.id for item in expected.items]
        for item, other in zip(outcome.items, expected.items, strict=True):
            assert item.values == pytest.approx(other.values, rel=1e-5)
        assert outcome.backend == ("hook" if cell.task == "ppl" else expected.backend)


def test_an_edit_that_breaks_the_model_fails_alone(worker, jobs):
    (change,) = jobs[2].changes
    broken = replace(change, scale=np.full(len(change.flat), 3e38, dtype=np.float32))
    jobs[2] = replace(jobs[2], changes=(broken,))
    found = side_by_side(worker, jobs)
    failed = {cell.edition for cell, (_, outcome) in found.items() if outcome.status == "failed"}
    assert failed == {EDITIONS[2]}
    assert "expected a finite number" in found[Cell(EDITIONS[2], "ppl", "de")][1].reason


def test_what_takes_values_of_other_text_stands_alone(worker, jobs, together):
    for number in (1, 3):
        (change,) = jobs[number].changes
        jobs[number] = replace(jobs[number], changes=(replace(change, values_from="resample", donors=("de",)),))
    alone, found = one_by_one(worker, jobs), side_by_side(worker, jobs)
    assert sorted(together) == [2, 3]
    drawn = [cell for cell in found if cell.edition in (EDITIONS[1], EDITIONS[3])]
    assert all(found[cell][1].items == alone[cell][1].items for cell in drawn)


@pytest.mark.parametrize("why", ["backend", "scope", "rows that change each other", "passes that are full"])
def test_where_rows_gain_or_fit_nothing_every_edition_stands_alone(worker, jobs, together, monkeypatch, why):
    if why in ("backend", "scope"):
        setting = {"backend": {"edit_backend": "hook"}, "scope": {"scope": "generation"}}[why]
        spec = worker.resolved.spec.model_copy(update=setting)
        monkeypatch.setattr(worker, "resolved", replace(worker.resolved, spec=spec))
    elif why == "passes that are full":
        monkeypatch.setattr(PerplexityEngine, "filled", lambda *_, **__: 0.51)
        worker._kinds.clear()
    else:
        monkeypatch.setattr(worker.engine, "together", 64)
    side_by_side(worker, [replace(job, cells=job.cells[:1], keys=job.keys[:1]) for job in jobs])
    assert together == []
    worker._kinds.clear()
