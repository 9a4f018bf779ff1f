"""The plan of random controls: which draws still have to be evaluated, in which languages.

Legend: `T` targets, `G` languages, `R` draws.

A full design evaluates every draw of every target in every language. Here a cell (target, language) is looked at after
5, 8, 13 and 20 draws (`ControlRules.between`), all cells of a task together, by `control_test`, and is closed

- as *ordinary* when p > 0.2: the effect is like that of random neurons, and more draws would hardly change that;
- as *clear* when p < alpha k / (10 cells), k the cells significant after correction at this look, at least 1: a tenth
  of what Benjamini-Hochberg asks for. This is the Haybittle-Peto design (Peto et al. 1976): looks that stop only at so
  extreme a value add next to nothing to the error, and the last look keeps the nominal level;
- after the last look.

A cell beyond many standard deviations may still be a random draw's where a few neurons matter more than all others, and
how often those are hit only many draws can tell. Two languages of every target therefore stay open until the last look,
chosen before anything is measured (its own among them where targets are named like the languages): they show
`control_test` the tail of as many different draws as the exhaustive design has, in a few of its cells.

The plan keeps no state: it is a function of what has been evaluated, replayed from the first look, so that a run killed
between two draws goes on where it was and ends with the same draws. Simulated error rates of test and plan together:
tests/harness/analysis/test_controls.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nharness.analysis.control_test import control_test
from nharness.analysis.significance import benjamini_hochberg
from nharness.errors import OptionError

Cell = tuple[str, str]
Drawn = tuple[str, int, str]


@dataclass(frozen=True)
class ControlRules:
    """When to look and when to stop; `calibrating` languages of every target get every draw.

    Raises `OptionError` for looks that do not rise or start below three draws.
    """

    looks: tuple[int, ...] = (5, 8, 13, 20)
    alpha: float = 0.05
    ordinary: float = 0.2
    margin: float = 10.0
    calibrating: int = 2

    def __post_init__(self) -> None:
        if not self.looks or list(self.looks) != sorted(set(self.looks)) or self.looks[0] < 3:
            raise OptionError(f"looks are rising numbers of draws, 3 or more; got {self.looks}")
        if not 0 < self.alpha < self.ordinary < 1 or self.margin < 1:
            raise OptionError(f"expected 0 < alpha < ordinary < 1 and margin >= 1; got {self}")

    @classmethod
    def between(cls, least: int, most: int) -> ControlRules:
        """Return rules with looks from `least` to `most` draws, each about half as many again as the one before."""
        looks = [max(3, least)]
        while looks[-1] * 1.6 < most:
            looks.append(round(looks[-1] * 1.6))
        return cls(looks=tuple(looks) if looks[-1] >= most else (*looks, most))


@dataclass(frozen=True)
class ControlRequest:
    """One draw of one target, and the languages it must be evaluated in."""

    target: str
    draw: int
    languages: tuple[str, ...]


@dataclass(frozen=True)
class Decision:
    """How a cell was closed, after how many draws; `open` while requests remain."""

    verdict: str
    draws: int
    p: float | None


@dataclass(frozen=True)
class ControlPlan:
    """The controls of one task: targets and languages in order, and the rules."""

    targets: tuple[str, ...]
    languages: tuple[str, ...]
    rules: ControlRules = ControlRules()

    def next(
        self, effects: Mapping[Cell, float | None], draws: Mapping[Drawn, float | None]
    ) -> tuple[ControlRequest, ...]:
        """Return what has to be evaluated before the next look, by draw and target; nothing when all cells are closed.

        effects: change by (target, language), on the items that draws are evaluated on. draws: change by (target, draw,
        language). None stands for a cell that failed: it is neither asked for again nor counted. A target or language
        that is absent from `effects` needs no control.
        """
        missing, _ = self._replay(effects, draws)
        requests: list[ControlRequest] = []
        for draw in range(missing.shape[1]):
            for row, target in enumerate(self.targets):
                wanted = tuple(tag for column, tag in enumerate(self.languages) if missing[row, draw, column])
                requests += [ControlRequest(target, draw, wanted)] if wanted else []
        return tuple(requests)

    def decisions(
        self, effects: Mapping[Cell, float | None], draws: Mapping[Drawn, float | None]
    ) -> dict[Cell, Decision]:
        """Return how every cell with an effect stands: `ordinary`, `clear`, `all draws` or `open`."""
        _, decided = self._replay(effects, draws)
        return decided

    def full(self) -> int:
        """Return how many cells the exhaustive design would evaluate: T x R x G."""
        return len(self.targets) * self.rules.looks[-1] * len(self.languages)

    def _replay(
        self, effects: Mapping[Cell, float | None], draws: Mapping[Drawn, float | None]
    ) -> tuple[NDArray[np.bool_], dict[Cell, Decision]]:
        effect, value, tried = self._arrays(effects, draws)
        seen = np.full(value.shape, np.nan)
        is_open, throughout = ~np.isnan(effect), self._calibrating()
        cells = int(is_open.sum())
        decided: dict[Cell, Decision] = {}
        nothing = np.zeros(value.shape, dtype=bool)
        before = 0
        for look in self.rules.looks:
            asked = np.zeros(value.shape, dtype=bool)
            asked[:, before:look] = is_open[:, None, :]
            if (asked & ~tried).any():
                unknown = np.full(is_open.shape, np.nan)
                return asked & ~tried, decided | self._decisions(is_open, "open", before, unknown)
            seen[asked] = value[asked]
            p = control_test(effect, seen).p
            found = max(1, int((benjamini_hochberg(p) < self.rules.alpha).sum()))
            closing = is_open & (~throughout | (look == self.rules.looks[-1]))
            clear = closing & (p < self.rules.alpha * found / (self.rules.margin * max(cells, 1)))
            ordinary = closing & (p > self.rules.ordinary)
            rest = is_open & ~clear & ~ordinary if look == self.rules.looks[-1] else np.zeros_like(is_open)
            for verdict, which in (("clear", clear), ("ordinary", ordinary), ("all draws", rest)):
                decided |= self._decisions(which, verdict, look, p)
            is_open = is_open & ~clear & ~ordinary
            before = look
            if not is_open.any():
                break
        return nothing, decided

    def _calibrating(self) -> NDArray[np.bool_]:
        """Return which cells [T, G] no look closes before the last, the same number in every language or one more."""
        count = len(self.languages)
        wanted = min(self.rules.calibrating, count)
        chosen = np.zeros((len(self.targets), count), dtype=bool)
        for turn, row in enumerate(sorted(range(len(self.targets)), key=self.targets.__getitem__)):
            chosen[row, [(turn + step * count // wanted) % count for step in range(wanted)]] = True
        return chosen

    def _arrays(
        self, effects: Mapping[Cell, float | None], draws: Mapping[Drawn, float | None]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        shape = (len(self.targets), self.rules.looks[-1], len(self.languages))
        effect = np.full((shape[0], shape[2]), np.nan)
        value, tried = np.full(shape, np.nan), np.zeros(shape, dtype=bool)
        for row, target in enumerate(self.targets):
            for column, tag in enumerate(self.languages):
                effect[row, column] = _number(effects.get((target, tag)))
                for draw in range(shape[1]):
                    if (target, draw, tag) in draws:
                        tried[row, draw, column] = True
                        value[row, draw, column] = _number(draws[target, draw, tag])
        return effect, value, tried

    def _decisions(
        self, which: NDArray[np.bool_], verdict: str, look: int, p: NDArray[np.float64]
    ) -> dict[Cell, Decision]:
        return {
            (self.targets[row], self.languages[column]): Decision(
                verdict, look, None if np.isnan(p[row, column]) else float(p[row, column])
            )
            for row, column in np.argwhere(which)
        }


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
