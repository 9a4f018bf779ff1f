"""How work is cut and what is left of it, without any actor."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("ray")

from nharness.cells import Cell, CellOutcome, Edition
from nharness.intervention import Change
from nharness.run.ray.executor import spread
from nharness.run.ray.pool import Assignment, remaining
from nharness.run.stages.evaluate import EvaluateWork, side_by_side
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
    pieces = list(spread(WORK, ((one,) for one in whole), workers))
    parts = [part for piece in pieces for part in piece]
    sent = [(cell, key) for part in parts for cell, key in zip(part.cells, part.keys, strict=True)]
    assert sent == [(cell, key) for one in whole for cell, key in zip(one.cells, one.keys, strict=True)]
    assert all(part.cells for part in parts)
    assert all(part.changes is next(one for one in whole if one.edition == part.edition).changes for part in parts)


def test_the_last_jobs_are_cut_so_that_nobody_is_idle():
    assert len(list(spread(WORK, [(job("a", 14),)], 2))) == 2
    a, b, c, d = (job(name, 4) for name in "abcd")
    pieces = spread(WORK, [(a,), (b,), (c,)], 2)
    assert [[len(part.cells) for part in piece] for piece in pieces] == [[4], [4], [2], [2]]
    assert list(spread(WORK, [(a, b), (c, d)], 4)) == [(a,), (b,), (c,), (d,)]


@pytest.mark.parametrize(
    ("count", "workers", "sizes"),
    [(1, 1, [1]), (12, 1, [12]), (13, 1, [12, 1]), (13, 2, [7, 6]), (5, 8, [1, 1, 1, 1, 1]), (0, 2, [])],
)
def test_editions_are_handed_over_side_by_side(count, workers, sizes):
    intact, edited = Job(None, (), (), ()), [job(f"t{n}", 2) for n in range(count)]
    executor = SimpleNamespace(workers=workers, computes=True)
    pieces = list(side_by_side([*edited, intact], executor))
    assert pieces[0] == (intact,)
    assert [len(piece) for piece in pieces[1:]] == sizes
    assert [one for piece in pieces[1:] for one in piece] == edited
    assert all(len(piece) == 1 for piece in side_by_side(edited, SimpleNamespace(workers=1, computes=False)))


def test_what_came_back_is_not_sent_again():
    whole, other = job("a", 3), job("b", 1)
    assignment = Assignment(7, "do", ("name", WORK, (whole, other)), tries=2, work=WORK)
    for cell, key in ((whole.cells[1], whole.keys[1]), (other.cells[0], other.keys[0])):
        assignment = remaining(assignment, Done(cell, key, CellOutcome("passed")))
    (left,) = assignment.arguments[-1]
    assert left.cells == (whole.cells[0], whole.cells[2])
    assert left.keys == ("a0", "a2")
    assert (assignment.number, assignment.tries) == (7, 0)
    assert [done.cell for done in WORK.lost((left, other), "x")] == [*left.cells, *other.cells]
