"""For authors of plug-ins and tests: checks of every kind of plug-in, synthetic evidence, tiny models, planted truth.

`parametrize_with_checks` makes tests of a plug-in, `check` a list; neither imports a tensor library unless a statistic
or an executor is checked. `nharness.testing.sandbox` is a pytest plug-in with a fixture for whole runs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nharness.testing.checks import Check, CheckFailedError, Point, check, checks_of, parametrize_with_checks
from nharness.testing.evidence import Made, make_evidence, random_evidence

if TYPE_CHECKING:
    from nharness.testing.planted import PlantedModel, Planting, planted_model
    from nharness.testing.tiny import TINY, tiny_model

_HEAVY = {  # what needs a tensor library is imported when it is asked for
    "TINY": "tiny",
    "tiny_model": "tiny",
    "PlantedModel": "planted",
    "Planting": "planted",
    "planted_model": "planted",
}
__all__ = [
    "TINY",
    "Check",
    "CheckFailedError",
    "Made",
    "PlantedModel",
    "Planting",
    "Point",
    "check",
    "checks_of",
    "make_evidence",
    "parametrize_with_checks",
    "planted_model",
    "random_evidence",
    "tiny_model",
]


def __getattr__(name: str) -> Any:
    if name in _HEAVY:
        return getattr(import_module(f"nharness.testing.{_HEAVY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
