"""The line from a specification to records: plan, stages, results.

`nharness.run` is this package and a call at once: `nharness.run(detector="lape")` runs what `nharness run` runs and is
`nharness.interactive.run`. A package's attribute of that name is the subpackage as soon as anything imports it, so the
subpackage itself is what can be called.
"""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """A package that is called as `nharness.interactive.run` is."""

    def __call__(self, *study: Any, **settings: Any) -> Any:
        """Run; see `nharness.interactive.run`."""
        return import_module("nharness.interactive").run(*study, **settings)

    @property
    def __signature__(self) -> inspect.Signature:
        """That of `nharness.interactive.run`, for help and completion."""
        return inspect.signature(import_module("nharness.interactive").run)


_package = _Callable(__name__)
vars(_package).update(globals())
sys.modules[__name__] = _package  # the import system takes what stands here
