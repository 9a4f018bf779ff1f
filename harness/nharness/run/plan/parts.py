"""Parts of a plan for job arrays: part i of n, the same on every machine.

Editions are dealt out like cards, targets and control draws apart, so that every part costs about the same; each part
has the baselines too. A part evaluates all of its control draws: whether fewer would do is decided when the parts are
joined, by which time nothing that could be asked for is missing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from nharness.errors import OptionError
from nharness.run.plan.plan import Plan


@dataclass(frozen=True)
class Part:
    """Part `number` of `of`, counted from 1."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def read_part(text: str) -> Part:
    """Read `2/5`; raises `OptionError` for anything else, and for a number that is not from 1 to the whole."""
    match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise OptionError(f"--shard is {text!r}; expected i/n with i from 1 to n, such as 2/5")
    return Part(int(match[1]), int(match[2]))


def part_of(plan: Plan, part: Part) -> Plan:
    """Return the part's cells, in the plan's order, and all baselines."""
    editions = [edition for edition in plan.by_edition() if edition is not None]
    targets = [edition for edition in editions if edition.control is None]
    controls = [edition for edition in editions if edition.control is not None]
    mine = {None, *targets[part.number - 1 :: part.of], *controls[part.number - 1 :: part.of]}
    return replace(plan, cells=tuple(cell for cell in plan.cells if cell.edition in mine))
