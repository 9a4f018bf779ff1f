"""How work is cut and what is left of it, without any actor."""

import numpy as np
import pytest

pytest.importorskip("ray")

from nharness.cells import Cell, CellOutcome, Edition
from nharness.intervention import Change
from nharness.run.ray.executor import spread
from nharness.run.ray.pool import Assignment, remaining
from nharness.run.stages.evaluate import EvaluateWork
from nharness.run.work.jobs import Done, Job

WORK = EvaluateWork("text")


def job(name, cells):
    edition = Edition("lape", name, "zero")
    made = tuple(Cell(edition, "ppl", f"l{n}") for n in range(cells))
    change = Change("gate", np.array([1]), np.array([0.0], np.float32), np.array([0.0], np.float32))
    return Job(edition, (change,), made, tuple(f"{name}{n}" for n in range(cells)))


@pytest.mark.parametrize(
    ("jobs", "cells", "workers"), [(1, 14, 2), (5, 3, 2), (2, 1, 4), (4, 10, 4), (3, 7, 8), (0, 1, 3)]
)
def test_every_cell_goes_out_once_with_its_key(jobs, cells, workers):
    whole = [job(f"t{n}", cells) for n in range(jobs)]
    parts = list(spread(WORK, iter(whole), workers))
    sent = [(cell, key) for part in parts for cell, key in zip(part.cells, part.keys, strict=True)]
    assert sent == [(cell, key) for one in whole for cell, key in zip(one.cells, one.keys, strict=True)]
    assert all(part.cells for part in parts)
    assert all(part.changes is next(one for one in whole if one.edition == part.edition).changes for part in parts)


def test_the_last_jobs_are_cut_so_that_nobody_is_idle():
    assert len(list(spread(WORK, [job("a", 14)], 2))) == 2
    assert [len(part.cells) for part in spread(WORK, [job("a", 4), job("b", 4), job("c", 4)], 2)] == [4, 4, 2, 2]


def test_what_came_back_is_not_sent_again():
    whole = job("a", 3)
    assignment = Assignment(7, "do", ("name", WORK, whole), tries=2, work=WORK)
    left = remaining(assignment, Done(whole.cells[1], whole.keys[1], CellOutcome("passed")))
    assert left.arguments[-1].cells == (whole.cells[0], whole.cells[2])
    assert left.arguments[-1].keys == ("a0", "a2")
    assert (left.number, left.tries) == (7, 0)
