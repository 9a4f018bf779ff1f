"""nharness: prove a claim about language neurons, or see it fail.

The names below are the public face; each is imported when it is first used, so that importing nharness costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nharness.detector import Detector, DetectorOptions, Evidence, Need
    from nharness.errors import NharnessError
    from nharness.hookspecs import Entry, hookimpl
    from nharness.intervention import AnyChange, Change, Intervention, InterventionOptions, Target, ValueChange
    from nharness.neurons import Detection
    from nharness.notebook import apply, locate
    from nharness.statistics import Statistics

_HOMES = {
    "AnyChange": "intervention",
    "Change": "intervention",
    "Detection": "neurons",
    "Detector": "detector",
    "DetectorOptions": "detector",
    "Entry": "hookspecs",
    "Evidence": "detector",
    "Intervention": "intervention",
    "InterventionOptions": "intervention",
    "Need": "detector",
    "NharnessError": "errors",
    "Statistics": "statistics",
    "Target": "intervention",
    "ValueChange": "intervention",
    "apply": "notebook",
    "hookimpl": "hookspecs",
    "locate": "notebook",
}

__all__ = [
    "AnyChange",
    "Change",
    "Detection",
    "Detector",
    "DetectorOptions",
    "Entry",
    "Evidence",
    "Intervention",
    "InterventionOptions",
    "Need",
    "NharnessError",
    "Statistics",
    "Target",
    "ValueChange",
    "apply",
    "hookimpl",
    "locate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nharness' has no attribute {name!r}")
    return getattr(importlib.import_module(f"nharness.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
