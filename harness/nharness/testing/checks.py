"""Checks: each small, named, and raising one sentence that says what to do; and running them, in a test or a command.

    from nharness.testing import parametrize_with_checks

    @parametrize_with_checks([TopMean(), TopMean(top_rate=0.2)])
    def test_it_keeps_the_contract(thing, check):
        check(thing)

Things are detectors and interventions (instances), statistics and executors (classes), task families (instances).
"""

from __future__ import annotations

import inspect
import os
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from nharness.errors import UsageError

Expected = Mapping[str, str] | Callable[[Any], Mapping[str, str]]
KINDS = {  # kind of plug-in: the class that it derives from, and the module of its checks
    "detectors": ("nharness.detector:Detector", "nharness.testing.detector_checks"),
    "interventions": ("nharness.intervention:Intervention", "nharness.testing.intervention_checks"),
    "tasks": ("nharness.task:TaskFamily", "nharness.testing.task_checks"),
    "statistics": ("nharness.recording:Accumulator", "nharness.testing.statistic_checks"),
    "executors": ("nharness.run.work.executor:Executor", "nharness.testing.executor_checks"),
}
LIGHT = ("detectors", "interventions", "tasks")  # whose base classes need no tensor library


class CheckFailedError(AssertionError):
    """A plug-in does not keep its contract; the text says in what, and what was expected."""


@dataclass(frozen=True)
class Check:
    """One check: called with a thing, it returns nothing or raises."""

    name: str
    run: Callable[[Any], None]

    def __call__(self, thing: Any) -> None:
        """Run the check; raises `CheckFailedError`, or whatever the plug-in raises."""
        self.run(thing)


@dataclass(frozen=True)
class Point:
    """One thing that was checked; `problem` is empty when it holds."""

    name: str
    problem: str


def require(holds: object, problem: str) -> None:
    """Raise `CheckFailedError` unless it holds."""
    if not holds:
        raise CheckFailedError(problem)


def checks_of(thing: Any) -> tuple[Check, ...]:
    """Return the checks of what a plug-in registers; raises `UsageError` for anything else."""
    kind = kind_of(thing)
    found: tuple[Check, ...] = import_module(KINDS[kind][1]).CHECKS
    return found


def kind_of(thing: Any) -> str:
    """Return the kind of plug-in, told by the class it derives from."""
    made = thing if inspect.isclass(thing) else type(thing)
    names = {f"{base.__module__}:{base.__qualname__}" for base in made.__mro__}
    for kind, (path, _) in KINDS.items():
        module, _, attribute = path.partition(":")
        ours = kind in LIGHT or any(name.startswith("nharness.") for name in names)
        if ours and getattr(import_module(module), attribute) in made.__mro__:
            return kind
    raise UsageError(f"{thing!r} is no plug-in that can be checked; expected one of {', '.join(KINDS)}")


def check(thing: Any) -> list[Point]:
    """Return every check of the thing with what is wrong about it."""
    points = []
    for each in checks_of(thing):
        try:
            each(thing)
            problem = ""
        except CheckFailedError as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 - the plug-in boundary: whatever a stranger's code raises is the finding
            problem = f"raised {type(error).__name__}: {error}"
        points.append(Point(each.name, problem))
    return points


def parametrize_with_checks(things: Sequence[Any], *, expected_failed_checks: Expected | None = None) -> Any:
    """Return a decorator for tests of `thing` and `check`: one test for every check of every thing.

    expected_failed_checks: names of checks that are known to fail, with the reason (or what returns them for a thing);
    a check that does not fail although it is expected to is an error, as is a name that no check has.
    """
    import pytest  # noqa: PLC0415 - for tests alone

    cases = []
    for thing in things:
        expected = expected_failed_checks(thing) if callable(expected_failed_checks) else expected_failed_checks or {}
        checks = checks_of(thing)
        unknown = set(expected) - {each.name for each in checks}
        if unknown and callable(expected_failed_checks):
            raise UsageError(f"no check is named {min(unknown)!r}; known: {', '.join(each.name for each in checks)}")
        for each in checks:
            reason = expected.get(each.name)
            marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
            cases.append(pytest.param(thing, each, id=f"{name_of(thing)}-{each.name.replace(' ', '-')}", marks=marks))
    return pytest.mark.parametrize(("thing", "check"), cases)


def name_of(thing: Any) -> str:
    """Return the name of a plug-in, or of its class."""
    made = thing if inspect.isclass(thing) else type(thing)
    return str(getattr(thing, "name", made.__name__))


def check_pickles(thing: Any) -> None:
    """Check that it travels to another process."""
    try:
        pickle.loads(pickle.dumps(thing))  # noqa: S301 - what was pickled a moment ago
    except Exception as error:  # the plug-in boundary: what is checked is third-party code
        raise CheckFailedError(f"cannot be pickled ({error}), as worker processes need") from error


def check_options(thing: Any) -> None:
    """Check that the options that are recorded make the same thing again."""
    options = thing.options.model_dump(mode="json", by_alias=True)
    try:
        again = type(thing)(**options)
    except Exception as error:  # the plug-in boundary: what is checked is third-party code
        raise CheckFailedError(f"cannot be recreated from its recorded options {options}: {error}") from error
    require(again.options == thing.options, f"recreated from {options}, it has the options {again.options}")


@contextmanager
def no_global_state() -> Iterator[None]:
    """Check that what is done meanwhile leaves random state, environment and warning filters of the process alone."""
    before = _global_state()
    yield
    after = _global_state()
    for name, state in before.items():
        require(
            state == after[name], f"changed the process's {name}; keep state in the instance or in a local variable"
        )


def _global_state() -> dict[str, Any]:
    name, numbers, *rest = np.random.get_state(legacy=True)  # noqa: NPY002 - the global one is what must not change
    torch = sys.modules.get("torch")  # where nobody has imported it, nobody can have changed it
    return {
        **({"random state of torch": torch.get_rng_state().numpy().tobytes()} if torch else {}),
        "random state of NumPy": (name, np.asarray(numbers).tobytes(), *rest),
        "environment": dict(os.environ),
        "error handling of NumPy": np.geterr(),
        "warning filters": list(warnings.filters),
        "working directory": os.getcwd(),  # noqa: PTH109 - as it is, not resolved
    }
