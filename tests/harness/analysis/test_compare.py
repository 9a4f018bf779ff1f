"""Differences of two effects on the same items: against brute force, coverage, and what is in only one of the two."""

import math

import numpy as np
import pytest

from matrix_measurements import CHOICE, PPL, matrix, targets
from narrowing import present
from nharness.analysis.compare import compare
from nharness.analysis.measurements import Measurement
from nharness.errors import UsageError
from nharness.record.cells import Target, Task

ROWS = (targets(), targets())


def baselines(measurements):
    return {m.key: m for m in measurements if m.target is None}


def stronger(measurements, factor):
    """The same measurements with every change of nll multiplied."""
    base = baselines(measurements)
    found = []
    for m in measurements:
        if m.task == "ppl" and m.target is not None:
            intact = base["ppl", None, None, m.language].values["nll"][: len(m.ids)]
            nll = intact + factor * (m.values["nll"] - intact)
            found.append(
                Measurement(m.task, m.target, m.control, m.language, m.ids, m.clusters, {**m.values, "nll": nll})
            )
        else:
            found.append(m)
    return found


def test_difference_is_that_of_the_changes():
    first, second = stronger(matrix(), 1.5), matrix()
    ppl, choice = compare(first, second, tasks=(PPL, CHOICE), targets=ROWS)
    got = next(c for c in ppl.cells if (c.target, c.language) == ("fr", "fr"))
    assert got.difference == pytest.approx(got.first - got.second)
    assert got.first == pytest.approx(1.5 * got.second)
    low, high = present(got.interval)
    assert low < got.difference < high
    assert present(got.q) < 0.05
    assert got.items == 40
    on = np.mean([c.difference for c in ppl.cells if c.target == c.language])
    assert present(ppl.on_target).value == pytest.approx(on)
    assert present(ppl.selectivity).value == pytest.approx(on - present(ppl.off_target).value)
    assert all(c.difference == 0 and c.p == 1 for c in choice.cells)


def test_pairing_makes_the_interval_of_a_shared_noise_narrow():
    ppl = compare(stronger(matrix(), 1.01), matrix(), tasks=(PPL,), targets=ROWS)[0]
    got = next(c for c in ppl.cells if (c.target, c.language) == ("en", "en"))
    low, high = present(got.interval)
    assert high - low < 0.001


def test_intervals_of_differences_cover():
    rng, inside = np.random.default_rng(81), 0
    task = Task(
        name="ppl",
        family="perplexity",
        metric="bits_per_byte",
        unit="bits per byte",
        direction="lower",
        languages=("en",),
    )
    rows = [Target(name="en", language="en", kinds=("specific",), neurons=3)]
    for _ in range(300):
        size = rng.integers(100, 900, 40).astype(float)
        ids, base = tuple(map(str, range(40))), size * 2.0
        shared = rng.normal(0, 0.3, 40)

        def side(effect, size=size, base=base, shared=shared, ids=ids):
            nll = base + size * (effect + shared + rng.normal(0, 0.05, 40)) * math.log(2)
            return [
                Measurement("ppl", target, None, "en", ids, ids, {"nll": values, "bytes": size})
                for target, values in ((None, base), ("en", nll))
            ]

        got = compare(side(0.3), side(0.2), tasks=(task,), targets=(rows, rows))[0].cells[0]
        low, high = present(got.interval)
        inside += low <= 0.1 <= high
    assert 0.91 <= inside / 300 <= 0.98


def test_cells_of_only_one_side_are_named():
    second = [m for m in matrix() if m.key != ("ppl", "zh", None, "en")]
    ppl = compare(matrix(), second, tasks=(PPL,), targets=ROWS)[0]
    assert ppl.only_first == (("zh", "en"),)
    assert ppl.only_second == ()
    assert len(ppl.cells) == 11


def test_a_side_without_neurons_changes_nothing():
    second = [m for m in matrix() if m.target != "en"]
    ppl = compare(matrix(), second, tasks=(PPL,), targets=(targets(), targets((0, 20, 30))))[0]
    got = next(c for c in ppl.cells if (c.target, c.language) == ("en", "zh"))
    assert got.second == 0
    assert got.difference == got.first
    neither = compare(second, second, tasks=(PPL,), targets=(targets((0, 20, 30)),) * 2)[0]
    assert present(neither.selectivity).value == 0
    assert len(neither.cells) == 9


def test_items_pair_by_id_and_must_be_the_same_text():
    first = matrix()
    order = np.random.default_rng(82).permutation(40)
    second = [
        Measurement(
            m.task,
            m.target,
            m.control,
            m.language,
            tuple(m.ids[i] for i in order),
            tuple(m.clusters[i] for i in order),
            {k: v[order] for k, v in m.values.items()},
        )
        if m.task == "ppl" and m.control is None
        else m
        for m in matrix()
    ]
    ppl = compare(first, second, tasks=(PPL,), targets=ROWS)[0]
    assert max(abs(c.difference) for c in ppl.cells) < 1e-12
    other = [
        Measurement(m.task, m.target, m.control, m.language, tuple("x" + i for i in m.ids), m.clusters, m.values)
        for m in matrix()
    ]
    with pytest.raises(UsageError, match="have no target, task and language"):
        compare(first, other, tasks=(PPL,), targets=ROWS)
    for m in second:
        if m.task == "ppl":
            m.values["bytes"][:] = m.values["bytes"] + 1
    with pytest.raises(UsageError, match="differs in its bytes"):
        compare(first, second, tasks=(PPL,), targets=ROWS)
