"""What happens during a run, as values: all that displays and logs listen to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nharness.cells import Cell, CellOutcome


@dataclass(frozen=True)
class Collected:
    """The cells that will run, out of how many, of what they are made, and the most forward tokens they cost.

    assumed: on what that rests, as `nharness.run.plan.price.assumed` has it.
    """

    cells: int
    whole: int
    baselines: int
    controls: int
    forward_tokens: int
    detectors: tuple[str, ...]
    interventions: tuple[str, ...]
    tasks: tuple[str, ...]
    languages: tuple[str, ...]
    assumed: str = ""


@dataclass(frozen=True)
class StageStarted:
    """A stage began; `total` units of work lie before it (0: unknown)."""

    stage: str
    total: int
    unit: str


@dataclass(frozen=True)
class StageAdvanced:
    """A stage did `amount` more units, and `tokens` more forward tokens."""

    stage: str
    amount: int
    tokens: int = 0


@dataclass(frozen=True)
class StageFinished:
    """A stage is done; `reused` says that its product came from the store."""

    stage: str
    seconds: float
    reused: bool
    summary: str


@dataclass(frozen=True)
class CellFinished:
    """A cell is done, computed or reused or failed; `change` is its effect as far as it is known already.

    change: bits per byte or accuracy points against the baseline; None for baselines and failures.
    """

    cell: Cell
    outcome: CellOutcome
    change: float | None


@dataclass(frozen=True)
class Noted:
    """Something a user should know; `level` is "note" or "warning"."""

    level: str
    text: str


Event = Collected | StageStarted | StageAdvanced | StageFinished | CellFinished | Noted
Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Ignore an event: the listener of unobserved runs."""
