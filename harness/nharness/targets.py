"""What targets are called: a language, a share of its neurons, a rung of its ladder, or the general neurons.

fr          the neurons that a detection gives to a language
fr:0.25     the best quarter of them
fr#64       the best 64 neurons that the detector ranks for the language
general     the neurons of all languages
"""

from __future__ import annotations

GENERAL = "general"  # the one target that is no language: the neurons of all of them


def part_target(language: str, share: float) -> str:
    """Return the name of the target that is a share of a language's neurons, `fr:0.25`; it tells all shares apart."""
    return f"{language}:{str(float(share)).removesuffix('.0')}"


def rung_target(language: str, units: int) -> str:
    """Return the name of the target that is the best `units` neurons a detector ranks for a language, `fr#64`."""
    return f"{language}#{units}"


def whose(target: str) -> tuple[str, float]:
    """Return the language (or `GENERAL`) that a target's neurons are of, and which share of them it is."""
    language, _, share = target.partition("#")[0].partition(":")
    return language, float(share or 1)


def rung_of(target: str) -> int | None:
    """Return how many of the best neurons a rung of a ladder is; None for a target that is no rung."""
    _, mark, units = target.partition("#")
    return int(units) if mark else None
