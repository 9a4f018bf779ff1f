"""What every executor must keep, with work that needs no model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, ClassVar

from nharness.errors import NharnessError, OptionError, UsageError
from nharness.run.work.executor import Executor, Work, unheard
from nharness.testing.checks import Check, check_pickles, require


class Doubled(Work[int, int]):
    """Twice the number."""

    in_order: ClassVar[bool] = True

    def begin(self, worker: Any, seen: Callable[[int], None]) -> Callable[[int], Iterator[int]]:
        """Return what doubles a piece."""
        del worker, seen
        return lambda piece: iter((2 * piece,))


def _workers(kind: type[Executor]) -> None:
    try:
        kind.check(0, {})
    except OptionError:
        return
    require(holds=False, problem="check() accepts 0 workers; call super().check()")


def _options(kind: type[Executor]) -> None:
    try:
        kind.check(1, {"no-such-option": 1})
    except OptionError:
        return
    require(holds=False, problem="check() accepts an option that known_options does not name")


def _order(kind: type[Executor]) -> None:
    if kind.remote:
        return  # its workers need a model
    executor = kind(SimpleNamespace(identity={"model": "none"}), 1, {})  # type: ignore[arg-type]
    try:
        found = list(executor.map(Doubled(), range(5), unheard))
    except (UsageError, NharnessError):
        return  # it does no work at all
    finally:
        executor.close()
    require(found == [0, 2, 4, 6, 8], f"ordered work returned its results as {found}")


CHECKS = (
    Check("refuses zero workers", _workers),
    Check("refuses unknown options", _options),
    Check("returns every result, in order", _order),
    Check("pickles", check_pickles),
)
