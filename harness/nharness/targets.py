"""What targets are called: a language, a share of its neurons, a rung of its ladder, or the general neurons.

fr           the neurons that a detection gives to a language
fr:0.25      the best quarter of them
fr#64        the best 64 neurons that the detector ranks for the language
fr#64-1528   the same without neuron 1528 (a flat index)
fr/2#64      the best 64 neurons in repeat 2 of the detection
general      the neurons of all languages
"""

from __future__ import annotations

import re
from dataclasses import dataclass

GENERAL = "general"  # the one target that is no language: the neurons of all of them
_RUNG = re.compile(r"(?P<language>[^#/]+)(?:/(?P<repeat>\d{1,4}))?#(?P<units>\d{1,12})(?:-(?P<without>\d{1,12}))?")


@dataclass(frozen=True)
class RungName:
    """A rung: the best `units` neurons of a language, of a repeat of the detection, without one flat index."""

    language: str
    units: int
    repeat: int | None = None
    without: int | None = None

    def __str__(self) -> str:
        repeat = "" if self.repeat is None else f"/{self.repeat}"
        without = "" if self.without is None else f"-{self.without}"
        return f"{self.language}{repeat}#{self.units}{without}"


def part_target(language: str, share: float) -> str:
    """Return the name of the target that is a share of a language's neurons, `fr:0.25`; it tells all shares apart."""
    return f"{language}:{str(float(share)).removesuffix('.0')}"


def whose(target: str) -> tuple[str, float]:
    """Return the language (or `GENERAL`) that a target's neurons are of, and which share of them it is."""
    rung = rung_of(target)
    if rung is not None:
        return rung.language, 1.0
    language, _, share = target.partition(":")
    return language, float(share or 1)


def rung_of(target: str) -> RungName | None:
    """Return the rung that a target is; None for one that is no rung."""
    found = _RUNG.fullmatch(target) if "#" in target else None
    if found is None:
        return None
    numbers = {name: None if found[name] is None else int(found[name]) for name in ("repeat", "without")}
    return RungName(found["language"], int(found["units"]), **numbers)
