"""Time of the bootstrap and of a whole record's analysis, and what the adaptive design spares.

Run it: python tests/bench/bench_analysis.py [--repeats N]
The matrices of the second part are made up: 8 languages, 8 000 tokens each, one language's neurons cost it `effect` bits per
byte and the others a little; random neurons differ among themselves like those of real models. Both designs see the same
numbers; the adaptive one decides which of them it asks for. How far two exhaustive designs agree that differ in nothing but
their random draws is the yardstick.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from nharness.analysis.analyse import analyse
from nharness.analysis.bootstrap import ClusterBootstrap, Totals
from nharness.analysis.control_test import control_test
from nharness.analysis.controls import ControlPlan, ControlRules
from nharness.analysis.measurements import Measurement
from nharness.analysis.sequential import Precision, look
from nharness.analysis.significance import benjamini_hochberg
from nharness.record.cells import Target
from nharness.record.results import AnalysisSettings

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "sharing"))
import null_matrices
from matrix_measurements import PPL

LANGUAGES = tuple(f"l{letter}" for letter in "abcdefgh")
SIZE, DOCUMENTS, SAMPLE, DRAWS = len(LANGUAGES), 120, 30, 20  # a quarter, as 1,000 of 4,000 tokens


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args()
    time_bootstrap(joint=True)
    time_bootstrap(joint=False)
    time_record()
    for effect in (0.02, 0.1, 0.5):
        designs(effect, arguments.repeats)
    null_rates()


def time_bootstrap(*, joint):
    rng = np.random.default_rng(0)
    groups = 1 if joint else SIZE
    weight, change = np.zeros((500 * groups, 64)), np.zeros((500 * groups, 64))
    for group in range(groups):
        rows, columns = slice(500 * group, 500 * (group + 1)), np.arange(64) % groups == group
        weight[rows, columns] = rng.lognormal(5.5, 0.6, (500, 1))
        change[rows, columns] = weight[rows, columns] * rng.normal(0.05, 0.3, (500, columns.sum()))
    begun = time.perf_counter()
    ClusterBootstrap(Totals(change, weight), resamples=10_000).intervals()
    text = "parallel texts" if joint else "texts of their own"
    print(f"bootstrap, 10 000 draws, 500 documents x 64 cells, {text}: {time.perf_counter() - begun:.2f} s")


def time_record():
    task, rows, measurements = matrix(0.1, np.random.default_rng(1))
    measurements = {key: found for key, found in measurements.items() if (key[1] or 0) < DRAWS}
    settings = AnalysisSettings(bootstrap_draws=10_000, seed=0, confidence=0.95)
    begun = time.perf_counter()
    analyse(measurements.values(), tasks=(task,), targets=rows, settings=settings)
    print(f"a record of 64 cells and {DRAWS} draws each, 10 000 resamples: {time.perf_counter() - begun:.2f} s")


def matrix(effect, rng):
    """Return task, targets and measurements by (target, control, language), controls on all documents."""
    task = PPL.model_copy(update={"languages": LANGUAGES})
    rows = [Target(name=tag, language=tag, kinds=("specific",), neurons=30) for tag in LANGUAGES]
    found: dict[tuple[str | None, int | None, str], Any] = {}
    size = rng.lognormal(5.5, 0.5, DOCUMENTS).round()
    ids = tuple(f"d{i}" for i in range(DOCUMENTS))
    for language in LANGUAGES:
        base = size * (1.2 + rng.normal(0, 0.1, DOCUMENTS))
        found[None, None, language] = base
    for target in LANGUAGES:
        spread = 0.01 * np.exp(rng.normal(0, 0.5))
        for control in (None, *range(2 * DRAWS)):
            common = rng.gamma(4, 1)
            for language in LANGUAGES:
                own = effect if target == language else effect * rng.exponential(0.05)
                mean = spread * (common + rng.gamma(4, 1)) / 8 + (own if control is None else 0.0)
                noise = rng.normal(0, 0.05, DOCUMENTS) * np.sqrt(250 / size) * np.sqrt(abs(mean) / 0.1)
                found[target, control, language] = found[None, None, language] + size * (mean + noise)
    return (
        task,
        rows,
        {
            key: Measurement("ppl", *key, ids, ids, {"nll": bits * np.log(2), "bytes": size})
            for key, bits in found.items()
        },
    )


def designs(effect, repeats):
    rng = np.random.default_rng(2)
    shares, agreements, wrong, yardstick = [], [], [], []
    for _ in range(repeats):
        _, _, measurements = matrix(effect, rng)
        full, full_cost = exhaustive(measurements)
        quick, quick_cost = adaptive(measurements)
        again, _ = exhaustive(measurements, DRAWS)
        yardstick.append((full == again).mean())
        shares.append(quick_cost / full_cost)
        agreements.append((full == quick).mean())
        wrong.append((full != quick)[np.eye(SIZE, dtype=bool)].mean())
    print(
        f"diagonal {effect} bits per byte: forward tokens {np.mean(shares):.1%} of the exhaustive design, same verdict in "
        f"{np.mean(agreements):.1%} of cells, another on the diagonal in {np.mean(wrong):.1%}; "
        f"two exhaustive designs agree in {np.mean(yardstick):.1%}"
    )


def null_rates():
    """Print how many matrices of random detections have anything significant: it should be 5 % and less."""
    for heavy, name in ((False, "alike"), (True, "of which some are strong")):
        found = [significant(effect, drawn) for effect, drawn in null_matrices_of((22, 41, 51, 61), heavy)]
        print(f"random detections, neurons {name}, all draws: {np.mean(found):.1%} of {len(found)} matrices")
    for calibrating in (0, ControlRules.calibrating):
        plan = ControlPlan(LANGUAGES, LANGUAGES, ControlRules(calibrating=calibrating))
        found = [significant(effect, drawn, plan) for effect, drawn in null_matrices_of((31, 41, 51), heavy=True)]
        print(
            f"the same, drawn adaptively, {calibrating} languages of a target always: {np.mean(found):.1%} of {len(found)}"
        )


def null_matrices_of(seeds, heavy):
    return [pair for seed in seeds for pair in null_matrices.matrices(seed, 200, heavy=heavy)]


def significant(effect, drawn, plan=None):
    """Tell whether anything is, with the draws that a plan asks for or with all."""
    seen = drawn if plan is None else followed(plan, effect, drawn)[0]
    return bool((benjamini_hochberg(control_test(effect, seen).p) < 0.05).any())


def followed(plan, effect, drawn):
    """Return the draws [T, R, G] that a plan asks for, NaN where it does not, and their number."""
    effects = {(t, g): effect[i, j] for i, t in enumerate(LANGUAGES) for j, g in enumerate(LANGUAGES)}
    draws, seen = {}, np.full(drawn.shape, np.nan)
    while requests := plan.next(effects, draws):
        for request in requests:
            for language in request.languages:
                place = LANGUAGES.index(request.target), request.draw, LANGUAGES.index(language)
                draws[request.target, request.draw, language] = seen[place] = drawn[place]
    return seen, len(draws)


def exhaustive(measurements, start=0):
    effect, drawn = changes(measurements, DOCUMENTS, start)
    size = measurements[None, None, LANGUAGES[0]].values["bytes"].sum()
    return benjamini_hochberg(control_test(effect, drawn).p) < 0.05, size * SIZE * (1 + SIZE * (1 + DRAWS))


def adaptive(measurements):
    """Targets stop at a half-width of 0.01, controls are drawn on a sample and only until decided."""
    effect, drawn = changes(measurements, SAMPLE)
    seen, asked = followed(ControlPlan(LANGUAGES, LANGUAGES), effect, drawn)
    size = measurements[None, None, LANGUAGES[0]].values["bytes"]
    cost = SIZE * size.sum() + asked * size[:SAMPLE].sum()
    cost += sum(size[: max(SAMPLE, stopped(measurements, t, g))].sum() for t in LANGUAGES for g in LANGUAGES)
    return benjamini_hochberg(control_test(effect, seen).p) < 0.05, cost


def stopped(measurements, target, language):
    base, edited = (measurements[t, None, language].values for t in (None, target))
    change, size, seen = (edited["nll"] - base["nll"]) / np.log(2), base["bytes"], 0
    while not (at := look(change[:seen], size[:seen], DOCUMENTS, Precision(0.01))).stop:
        seen = at.wanted
    return seen


def changes(measurements, count, start=0):
    """Return effects [T, G] and draws [T, R, G] on the first documents, which are in random order."""
    out = np.empty((SIZE, DRAWS + 1, SIZE))
    for i, target in enumerate(LANGUAGES):
        for j, language in enumerate(LANGUAGES):
            base = measurements[None, None, language].values
            for number in range(-1, DRAWS):
                nll = measurements[target, None if number < 0 else number + start, language].values["nll"]
                out[i, number + 1, j] = (nll - base["nll"])[:count].sum() / np.log(2) / base["bytes"][:count].sum()
    return out[:, 0], out[:, 1:]


if __name__ == "__main__":
    main()
