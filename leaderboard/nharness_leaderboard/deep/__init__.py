"""Recomputing a record: all that follows from the files beside it or from what ships with nharness.

    ladder    the headline from the items of the ladders' rungs
    items     every aggregate from the items, with the record's own settings and seeds
    sense     whether items can be what they say: ranges, the same text in every cell, edits that edit
    neurons   counts, kinds, layers, overlaps, detector and options from the neurons file
    structure where kinds lie, stages, languages among themselves and scripts, from neurons file and matrix
    targets   budget, targets and random draws from the neurons file and the seed
    truth     scores against truths that ship, and what the parts of a stability say of each other
    text      evaluation text and its overlap with detection text, where the corpus ships

The rest is asserted; the schema marks those fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from nharness.errors import NharnessError
from nharness.record.cautions import cautions
from nharness.record.model import Record
from nharness.record.problems import Problem, shown, unique
from nharness_leaderboard.curves import curve_problems
from nharness_leaderboard.deep.ground_truth import truth_differences
from nharness_leaderboard.deep.items import item_differences
from nharness_leaderboard.deep.ladder import headline_differences
from nharness_leaderboard.deep.neurons import neuron_differences
from nharness_leaderboard.deep.structure import structure_differences
from nharness_leaderboard.deep.targets import target_differences

Check = Callable[[Record, Path], Iterator[Problem]]
CHECKS: tuple[tuple[str, str, Check], ...] = (
    ("/neurons/file", "the neurons file cannot be used", neuron_differences),
    ("/neurons/file", "the structure cannot be recomputed", structure_differences),
    ("/neurons/file", "the targets cannot be recomputed", target_differences),
    ("/ground_truth", "the ground truth cannot be checked", truth_differences),
    ("/files", "the items file cannot be used", item_differences),
    ("/headline", "the headline cannot be recomputed", headline_differences),
)


def deep_problems(record: Record, folder: Path) -> list[Problem]:
    """Return every difference between a valid record and its files; values without a file are not compared."""
    return unique(each_problem(record, folder))


def each_problem(record: Record, folder: Path) -> Iterator[Problem]:
    """Yield the same one by one, as they are found: the first of them comes before what takes longer is computed."""
    for where, what, check in CHECKS:
        try:
            yield from check(record, folder)
        except (NharnessError, ValueError, ArithmeticError, MemoryError) as error:
            yield Problem(where, f"{what}: {shown(str(error), limit=300)[1:-1]}")
    yield from curve_problems(record, [record], whole=False)
    yield from _warnings(record)


def _warnings(record: Record) -> Iterator[Problem]:
    """Yield a problem if a record's warnings are not those that follow from it; a migrated one may have none."""
    told, follow = list(record.warnings), list(cautions(record))
    if told != follow and (told or record.identity.source is not None):
        yield Problem("/warnings", f"they are {shown(told)}, the record gives {shown(follow)}")
