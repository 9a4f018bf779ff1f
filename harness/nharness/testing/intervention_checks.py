"""What every intervention must keep, on synthetic evidence and a target of some neurons."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nharness.detector import Evidence
from nharness.errors import NharnessError, UsageError
from nharness.intervention import Change, Intervention, Target
from nharness.targets import GENERAL
from nharness.testing.checks import Check, CheckFailedError, check_options, check_pickles, no_global_state, require
from nharness.testing.evidence import Made, make_evidence

FLAT = np.array([3, 4, 17, 41, 79])
USUAL = Made()


def _target(found: Intervention, flat: np.ndarray = FLAT) -> Target:
    members = np.zeros((3, 80), dtype=bool)
    members[1, flat] = True
    source = ("en", np.array([5, 17])) if found.needs_source else (None, None)
    return Target("de", flat, members, source[0], source[1])


def _changes(found: Intervention, evidence: Evidence | None = None) -> tuple[Change, ...]:
    changes = found.changes(_target(found), evidence or make_evidence(USUAL))
    require(
        isinstance(changes, tuple) and all(isinstance(c, Change) for c in changes), "changes() is no tuple of Change"
    )
    return changes


def _needs(found: Intervention) -> None:
    needs = found.needs()
    try:
        _changes(found, make_evidence(USUAL, needs))
    except Exception as error:  # the plug-in boundary: what is checked is anybody's code
        declared = ", ".join(f"{need.statistic}@{need.site}" for need in needs) or "nothing"
        raise CheckFailedError(f"needs() declares {declared}, and with that alone it failed: {error}") from error


def _within(found: Intervention) -> None:
    target = _target(found)
    allowed = np.union1d(target.flat, target.source_flat if target.source_flat is not None else [])
    for site in ("gate", "hidden"):
        flat = [unit for change in _changes(found) if change.site == site for unit in change.flat.tolist()]
        require(set(flat) <= set(allowed.tolist()), "changes neurons that are not the target's")
        require(len(flat) == len(set(flat)), f"changes a neuron twice at site {site}")


def _finite(found: Intervention) -> None:
    for change in _changes(found):
        require(np.isfinite(change.scale).all() and np.isfinite(change.shift).all(), "a scale or shift is not finite")


def _nothing(found: Intervention) -> None:
    target = _target(found, FLAT[:0])
    changes = found.changes(replace(target, source_flat=None if target.source_flat is None else FLAT[:0]), _evidence())
    require(all(change.flat.size == 0 for change in changes), "changes something for a target without neurons")


def _general(found: Intervention) -> None:
    try:
        found.changes(replace(_target(found), language=GENERAL, members=None), _evidence())
    except UsageError:
        return
    except NharnessError as error:
        require(
            holds=False, problem=f"raised {type(error).__name__} for general neurons, expected UsageError or changes"
        )


def _experts(found: Intervention) -> None:
    for change in _changes(found, make_evidence(replace(USUAL, routed=True))):
        require(np.isfinite(change.shift).all(), "has no finite value for an expert that a language never reached")


def _deterministic(found: Intervention) -> None:
    require(_same(_changes(found), _changes(found)), "the same target and evidence gave other changes")


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
    require(_same(_changes(again), _changes(found)), "its copy in another process changes otherwise")


def _evidence() -> Evidence:
    return make_evidence(USUAL)


def _same(first: Sequence[Change], second: Sequence[Change]) -> bool:
    return len(first) == len(second) and all(
        a.site == b.site and all(np.array_equal(getattr(a, n), getattr(b, n)) for n in ("flat", "scale", "shift"))
        for a, b in zip(first, second, strict=True)
    )


CHECKS = (
    Check("declared needs suffice", _needs),
    Check("changes its target alone", _within),
    Check("finite values", _finite),
    Check("nothing for no neuron", _nothing),
    Check("general neurons", _general),
    Check("experts", _experts),
    Check("deterministic", _deterministic),
    Check("leaves its evidence alone", _untouched),
    Check("leaves the process alone", _state),
    Check("pickles", _pickles),
    Check("options round trip", check_options),
)
