"""Cells of likelihood tasks: what they say does not depend on which of them a process measures first."""

from dataclasses import replace

import numpy as np
import pytest

from nharness.cells import Cell, Edition
from nharness.intervention import Change
from nharness.plugins import Plugins
from nharness.run.plan.resolve import resolve
from nharness.run.work.jobs import Job
from nharness.run.work.worker import Worker
from nharness.spec import CorpusSpec, RunSpec, TaskOptions

EDITION = Edition("lape", "fr", "zero")


@pytest.fixture
def worker():
    spec = RunSpec(
        languages=("de", "fr"),
        tasks=("continuation",),
        task_options=TaskOptions(limit=3),
        corpus=CorpusSpec(eval_tokens=600),
    )
    return Worker(resolve(spec, Plugins()))


@pytest.fixture
def change(worker):
    flat = np.arange(0, sum(worker.neuron_map.layer_widths), 9)
    nothing = np.zeros(len(flat), dtype=np.float32)
    return Change("hidden", flat, nothing, nothing)


def outcomes(worker, edition, *changes):
    cells = tuple(Cell(edition, task.name, task.language) for task in worker.resolved.tasks)
    job = Job(edition, changes, cells, tuple(cell.id for cell in cells))
    return [done.outcome for done in worker.evaluate(job, worker.resolved.corpus)]


def said(found):
    return [(outcome.status, outcome.edited_activations, outcome.tokens, outcome.items) for outcome in found]


def test_a_process_that_begins_under_an_edit_counts_what_it_would_count_later(worker, change):
    first = said(outcomes(worker, EDITION, change))
    assert [status for status, *_ in first] == ["passed", "passed"]
    assert said(outcomes(worker, EDITION, change)) == first


def test_an_edit_that_breaks_the_model_does_not_decide_who_scores_afterwards(worker, change):
    broken = replace(change, shift=np.full(len(change.flat), 1e38, dtype=np.float32))
    assert {outcome.status for outcome in outcomes(worker, EDITION, broken)} == {"failed"}
    assert {worker.described(task)["scorer"] for task in worker.resolved.tasks} == {"nharness"}
