"""What every intervention must keep, on synthetic evidence and a target of some neurons."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

from nharness.detector import Evidence
from nharness.errors import NharnessError, UsageError
from nharness.intervention import AnyChange, Change, Intervention, Target, ValueChange
from nharness.targets import GENERAL
from nharness.testing.checks import Check, CheckFailedError, check_options, check_pickles, no_global_state, require
from nharness.testing.evidence import Made, make_evidence

FLAT = np.array([3, 4, 17, 41, 79])
USUAL = Made()
TOKENS = 8


def _target(found: Intervention, flat: np.ndarray = FLAT) -> Target:
    members = np.zeros((3, 80), dtype=bool)
    members[1, flat] = True
    source = ("en", np.array([5, 17])) if found.needs_source else (None, None)
    return Target("de", flat, members, source[0], source[1])


def _changes(found: Intervention, evidence: Evidence | None = None) -> tuple[AnyChange, ...]:
    changes = found.changes(_target(found), evidence or make_evidence(USUAL))
    require(
        isinstance(changes, tuple) and all(isinstance(c, Change | ValueChange) for c in changes),
        "changes() is no tuple of Change and ValueChange",
    )
    return changes


def _functions(found: Intervention, evidence: Evidence | None = None) -> list[Callable[[slice], Any]]:
    """Return for every change of values what it makes of those at some of a few tokens, a torch tensor."""
    changes = [change for change in _changes(found, evidence) if isinstance(change, ValueChange)]
    if not changes:
        return []
    values = import_module("nharness.testing.values")  # an intervention without functions is checked without torch
    return [values.applied(change, TOKENS) for change in changes]


def _shape(found: Intervention) -> None:
    for change, function in zip(
        [change for change in _changes(found) if isinstance(change, ValueChange)], _functions(found), strict=True
    ):
        made, expected = list(getattr(function(slice(None)), "shape", ())), [TOKENS, len(change.flat)]
        require(made == expected, f"function {change.function.__name__} returned {made} for values {expected} [S, k]")


def _by_token(found: Intervention) -> None:
    for function in _functions(found):
        whole = function(slice(None))[2:3]
        alone = function(slice(2, 3))
        require(
            whole.shape == alone.shape and bool(whole.isclose(alone, rtol=1e-4, atol=1e-6, equal_nan=True).all()),
            "the value of a token depends on other tokens of the batch",
        )


def _needs(found: Intervention) -> None:
    needs = found.needs()
    _changes(found)  # what fails with everything does not fail for want of needs
    try:
        _changes(found, make_evidence(USUAL, needs))
    except Exception as error:  # the plug-in boundary: what is checked is third-party code
        declared = ", ".join(f"{need.statistic}@{need.site}" for need in needs) or "nothing"
        raise CheckFailedError(f"needs() declares {declared}, but with that alone it failed: {error}") from error


def _within(found: Intervention) -> None:
    target = _target(found)
    allowed = np.union1d(target.flat, target.source_flat if target.source_flat is not None else [])
    for site in ("gate", "hidden"):
        flat = [unit for change in _changes(found) if change.site == site for unit in change.flat.tolist()]
        require(set(flat) <= set(allowed.tolist()), "changes neurons outside the target")
        require(len(flat) == len(set(flat)), f"changes a neuron twice at site {site}")


def _finite(found: Intervention) -> None:
    for function in _functions(found):
        require(bool(function(slice(None)).isfinite().all()), "turns finite values into NaN or infinity")


def _nothing(found: Intervention) -> None:
    target = _target(found, FLAT[:0])
    changes = found.changes(replace(target, source_flat=None if target.source_flat is None else FLAT[:0]), _evidence())
    require(all(change.flat.size == 0 for change in changes), "makes a change for a target without neurons")


def _general(found: Intervention) -> None:
    try:
        found.changes(replace(_target(found), language=GENERAL, members=None), _evidence())
    except UsageError:
        return
    except NharnessError as error:
        raise CheckFailedError(
            f"raised {type(error).__name__} for general neurons, expected UsageError or changes: {error}"
        ) from error


def _experts(found: Intervention) -> None:
    for function in _functions(found, make_evidence(replace(USUAL, routed=True))):
        require(
            bool(function(slice(None)).isfinite().all()),
            "has no finite value for an expert that a language never reached",
        )


def _deterministic(found: Intervention) -> None:
    require(_same(_changes(found), _changes(found)), "the same target and evidence gave other changes")
    for function in _functions(found):
        first, second = function(slice(None)), function(slice(None))
        require(
            bool(first.isclose(second, rtol=0, atol=0, equal_nan=True).all()),
            "the same values were changed differently",
        )


def _untouched(found: Intervention) -> None:
    evidence, fresh = make_evidence(USUAL), make_evidence(USUAL)
    found.changes(_target(found), evidence)
    for site, table in evidence.sites.items():
        for name, tensor in table.tensors.items():
            same = np.array_equal(tensor, fresh.sites[site].tensors[name])
            require(same, f"changed {name} at site {site}; evidence is shared, work on a copy")


def _state(found: Intervention) -> None:
    with no_global_state():
        _changes(found)


def _pickles(found: Intervention) -> None:
    check_pickles(found)
    again = pickle.loads(pickle.dumps(found))  # noqa: S301 - what was pickled a moment ago
    require(_same(_changes(again), _changes(found)), "its copy in another process makes other changes")


def _evidence() -> Evidence:
    return make_evidence(USUAL)


def _same(first: Sequence[AnyChange], second: Sequence[AnyChange]) -> bool:
    return len(first) == len(second) and all(_same_change(a, b) for a, b in zip(first, second, strict=True))


def _same_change(a: AnyChange, b: AnyChange) -> bool:
    if type(a) is not type(b) or a.site != b.site or not np.array_equal(a.flat, b.flat):
        return False
    if isinstance(a, ValueChange) and isinstance(b, ValueChange):
        named = a.function is b.function and a.seed == b.seed and a.parameters.keys() == b.parameters.keys()
        return named and all(np.array_equal(a.parameters[name], b.parameters[name]) for name in a.parameters)
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("scale", "shift"))


CHECKS = (
    Check("declared needs suffice", _needs),
    Check("changes its target alone", _within),
    Check("finite values", _finite),
    Check("values of the same shape", _shape),
    Check("each token by itself", _by_token),
    Check("nothing for no neuron", _nothing),
    Check("general neurons", _general),
    Check("experts", _experts),
    Check("deterministic", _deterministic),
    Check("leaves its evidence alone", _untouched),
    Check("leaves the process alone", _state),
    Check("pickles", _pickles),
    Check("options round trip", check_options),
)
