"""Progress of a stage: the share done, tokens per second, and the time left."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

RECENT = 200
LEAST_SECONDS, SHARE = 10.0, 0.1
AT_MOST = "at most"
"""How a unit ends of which there may be fewer than the total."""


@dataclass
class Pace:
    """Counts the work of one stage; rates are those of the last `RECENT` steps.

    total: units of work, 0 if unknown. clock: seconds, rising.
    """

    total: int
    unit: str
    clock: Callable[[], float] = time.monotonic
    done: int = 0
    tokens: int = 0
    _steps: deque[tuple[float, int, int]] = field(default_factory=lambda: deque(maxlen=RECENT))

    def __post_init__(self) -> None:
        """Start the clock."""
        self.started = self.told = self.clock()
        self._steps.append((self.started, 0, 0))

    def advance(self, amount: int, tokens: int) -> None:
        """Count `amount` units and `tokens` forward tokens as done now."""
        self.done, self.tokens = self.done + amount, self.tokens + tokens
        self._steps.append((self.clock(), self.done, self.tokens))

    @property
    def share(self) -> float | None:
        """The part of the work that is done, from 0 to 1; None where the whole is unknown."""
        return min(1.0, self.done / self.total) if self.total else None

    @property
    def text(self) -> str:
        """Tokens per second and time left, such as `12,345 tokens/s, 1:05 left`; without what is not known yet."""
        (began, done, tokens), (now, done_now, tokens_now) = self._steps[0], self._steps[-1]
        seconds = now - began
        parts = []
        if seconds > 0 and tokens_now > tokens:
            parts.append(f"{(tokens_now - tokens) / seconds:,.0f} tokens/s")
        if seconds > 0 and done_now > done and 0 < self.done < self.total:
            left = duration(seconds * (self.total - done_now) / (done_now - done))
            parts.append(f"{'under ' if self.unit.endswith(AT_MOST) else ''}{left} left")
        return ", ".join(parts)

    def due(self) -> bool:
        """Tell whether another line is due: 10 s and a tenth of all the time since the last one; True restarts it.

        So an hour prints about thirty lines, and a week to under a hundred.
        """
        now = self.clock()
        if now - self.told < max(LEAST_SECONDS, SHARE * (now - self.started)):
            return False
        self.told = now
        return True


def duration(seconds: float) -> str:
    """Return `0:07`, `12:30`, `1:02:30` or `2 d 03:04`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 24:
        return f"{hours // 24} d {hours % 24:02d}:{minutes:02d}"
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
