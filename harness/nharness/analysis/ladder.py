"""The ladder of one target: how many of its best units to switch off next.

n starts at 1 and doubles until the language is a quarter worse, a tenth of all units is off, or the list ends; then the
step in which the language first becomes `level` worse is halved, until it is a unit or a small harm wide. A ladder of
doublings alone moves the kept share (kept_share.py) by up to a third.

A ladder may start where one like it was read: the first step then looks down and up from there.

The ladder keeps no state: what comes next is a function of what was measured, so that a run killed between two rungs
goes on where it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nharness.errors import OptionError

LEVEL, FARTHEST, MOST_UNITS = 0.10, 0.25, 0.10
LEVELS = (0.05, LEVEL, FARTHEST)
"""Harms at which the kept share is read: the headline's, and those beside it."""
AROUND = 2
"""Rungs around a level at which the other languages are measured: the first that reaches it, and the one before."""
REPEATED_FINE = 0.04
"""Harm between two rungs around the level for a repeat of the detection, of which only the scatter counts."""


@dataclass(frozen=True)
class Ladder:
    """What may be asked for: at most `longest` units, the length of the target's list, of `total` in the model.

    level: harm at which the kept share is read. farthest: harm at which climbing ends. fine: harm between two rungs
    around the level below which no rung is put between them. Harm is a share of the baseline. start: units of the
    first rung.
    Raises `OptionError` for numbers that are no ladder.
    """

    longest: int
    total: int
    level: float = LEVEL
    farthest: float = FARTHEST
    fine: float = 0.02
    start: int = 1

    def __post_init__(self) -> None:
        if self.longest < 0 or self.total < max(1, self.longest) or not 0 < self.level <= self.farthest:
            raise OptionError(f"a ladder needs a list of the model's units and a harm above 0; got {self}")

    @property
    def end(self) -> int:
        """The most units that are ever switched off."""
        return min(self.longest, max(1, int(MOST_UNITS * self.total)))

    def next(self, points: Mapping[int, float]) -> int | None:
        """Return how many units to switch off next; None when the ladder is climbed.

        points: own harm by number of units, what was measured so far.
        """
        if not self.end:
            return None
        climbed = self._climb(points)
        return self._between(points) if climbed is None else climbed

    def most(self) -> int:
        """Return the most rungs that a ladder can have, for the price of a run before it starts."""
        doublings = (self.end - 1).bit_length() + 1 if self.end else 0
        return 2 * doublings

    def around(self, points: Mapping[int, float], levels: Sequence[float]) -> set[int]:
        """Return the rungs between which each level is first reached; where it is not, the rung of most harm."""
        rungs = sorted(points)
        found: set[int | None] = set()
        for level in levels:
            at = next((place for place, units in enumerate(rungs) if points[units] >= level), None)
            found |= {rung_read(points, level)} if at is None else set(rungs[max(0, at - 1) : at + 1])
        return {units for units in found if units is not None}

    def _climb(self, points: Mapping[int, float]) -> int | None:
        units = min(self.start, self.end)
        while units > 1:
            if units not in points:
                return units
            if points[units] < self.level:
                break
            units //= 2
        units = self.start
        while True:
            units = min(units, self.end)
            if units not in points:
                return units
            if points[units] >= self.farthest or units == self.end:
                return None
            units *= 2

    def _between(self, points: Mapping[int, float]) -> int | None:
        below, harm = 0, 0.0
        for units in sorted(points):
            if points[units] >= self.level:
                apart = units - below
                return below + apart // 2 if apart > 1 and points[units] - harm > self.fine else None
            below, harm = units, points[units]
        return None


def rung_read(points: Mapping[int, float], level: float = LEVEL) -> int | None:
    """Return the rung at which a ladder is read: the first that reaches the level, else the one of most harm."""
    enough = [units for units in sorted(points) if points[units] >= level]
    return enough[0] if enough else max(points, key=lambda units: (points[units], -units), default=None)
