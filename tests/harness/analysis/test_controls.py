"""The plan of controls: error rates with it, what it saves, that it ends, resumes and handles failures."""

import numpy as np
import pytest

import null_matrices
from nharness.analysis.control_test import control_test
from nharness.analysis.controls import ControlPlan, ControlRules
from nharness.analysis.significance import benjamini_hochberg
from nharness.errors import OptionError

NAMES = tuple(f"l{i}" for i in range(8))


def follow(effect, controls, rules=None):
    """Run the plan to its end; return it with effects and draws as dictionaries, and the draws as an array."""
    names = NAMES[: effect.shape[0]]
    plan = ControlPlan(names, NAMES[: effect.shape[1]], rules or ControlRules())
    effects = {(names[i], NAMES[j]): float(effect[i, j]) for i, j in np.ndindex(effect.shape)}
    draws, seen = {}, np.full((effect.shape[0], plan.rules.looks[-1], effect.shape[1]), np.nan)
    while requests := plan.next(effects, draws):
        for request in requests:
            for tag in request.languages:
                i, j = names.index(request.target), NAMES.index(tag)
                assert (request.target, request.draw, tag) not in draws  # nothing is asked for twice
                draws[request.target, request.draw, tag] = seen[i, request.draw, j] = controls[i, request.draw, j]
    return plan, effects, draws, seen


@pytest.mark.parametrize("heavy", [False, True])
def test_random_detector_over_200_adaptive_matrices(heavy):
    cells, significant, share = [], [], []
    for effect, controls in null_matrices.matrices(31, 200, heavy=heavy):
        plan, _, draws, seen = follow(effect, controls)
        p = control_test(effect, seen).p
        cells.append(np.mean(p < 0.05))
        significant.append((benjamini_hochberg(p) < 0.05).any())
        share.append(len(draws) / plan.full())
    assert 0.03 <= np.mean(cells) <= 0.07
    assert np.mean(significant) <= (0.1 if heavy else 0.07)  # 0.063 of 600 heavy matrices
    assert np.mean(share) < 0.55


def test_same_conclusions_as_the_exhaustive_design_at_little_of_its_cost():
    agree, missed, share = [], [], []
    for effect, controls in null_matrices.matrices(32, 20):
        sd = controls.std(axis=1, ddof=1)
        real = effect + sd * np.where(np.eye(8, dtype=bool), 30.0, 1.0)
        plan, _, draws, seen = follow(real, controls)
        adaptive = benjamini_hochberg(control_test(real, seen).p) < 0.05
        exhaustive = benjamini_hochberg(control_test(real, controls).p) < 0.05
        agree.append((adaptive == exhaustive).mean())
        missed.append((~adaptive)[np.eye(8, dtype=bool)].mean())
        share.append(len(draws) / plan.full())
    assert np.mean(agree) > 0.95
    assert np.mean(missed) == 0
    # on a sample of a quarter of the items, that share of draws is less than a fifth of the exhaustive design
    assert np.mean(share) < 0.6


def test_two_languages_of_every_target_get_every_draw():
    effect, controls = next(null_matrices.matrices(33, 1))
    *_, seen = follow(effect, controls)
    full = (~np.isnan(seen)).sum(axis=1) == 20
    assert full[np.arange(8), np.arange(8)].all()  # its own, where targets are named like the languages
    assert full[np.arange(8), (np.arange(8) + 4) % 8].all()


def test_every_cell_gets_the_first_look_and_none_more_than_the_last():
    effect, controls = next(null_matrices.matrices(33, 1))
    plan, effects, draws, seen = follow(effect, controls)
    counts = (~np.isnan(seen)).sum(axis=1)
    assert set(np.unique(counts)) <= set(plan.rules.looks)
    for cell, decision in plan.decisions(effects, draws).items():
        assert counts[NAMES.index(cell[0]), NAMES.index(cell[1])] == decision.draws
        assert decision.verdict in {"ordinary", "clear", "all draws"}


def test_a_killed_run_ends_with_the_same_draws():
    effect, controls = next(null_matrices.matrices(34, 1))
    plan, effects, draws, _ = follow(effect, controls)
    kept = dict(list(draws.items())[: len(draws) // 2])
    while requests := plan.next(effects, kept):
        request = requests[0]  # one at a time, as if killed after each
        row = NAMES.index(request.target)
        kept |= {
            (request.target, request.draw, tag): float(controls[row, request.draw, NAMES.index(tag)])
            for tag in request.languages
        }
    assert kept == draws


def test_failed_cells_are_neither_asked_for_again_nor_waited_for():
    plan = ControlPlan(("a", "b"), ("a", "b"), ControlRules(looks=(3, 4)))
    effects = {("a", "a"): 1.0, ("a", "b"): None, ("b", "b"): 1.0}
    first = plan.next(effects, {})
    assert [(r.target, r.draw, r.languages) for r in first][:2] == [("a", 0, ("a",)), ("b", 0, ("b",))]
    draws: dict[tuple[str, int, str], float | None] = {
        (r.target, r.draw, tag): None for r in first for tag in r.languages
    }
    second = plan.next(effects, draws)
    assert {r.draw for r in second} == {3}
    draws |= {(r.target, r.draw, tag): 0.1 for r in second for tag in r.languages}
    assert plan.next(effects, draws) == ()
    assert plan.decisions(effects, draws)["a", "a"].p is None


def test_looks_between_least_and_most():
    assert ControlRules.between(5, 20).looks == (5, 8, 13, 20)
    assert ControlRules.between(5, 5).looks == (5,)
    assert ControlRules.between(0, 3).looks == (3,)
    assert ControlRules.between(10, 12).looks == (10, 12)


def test_wrong_rules_are_refused():
    with pytest.raises(OptionError, match="rising"):
        ControlRules(looks=(8, 5))
    with pytest.raises(OptionError, match="alpha"):
        ControlRules(alpha=0.5)
