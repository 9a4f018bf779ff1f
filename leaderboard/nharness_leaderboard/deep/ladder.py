"""The headline of a record from the items of its ladders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nharness.analysis.ladder_items import headline_again, is_of_a_ladder
from nharness.analysis.measurements import Measurement, from_items
from nharness.record.items import read_items
from nharness.record.model import Record
from nharness.record.problems import Problem
from nharness.record.store import find, inside
from nharness_leaderboard.deep.items import MAX_ITEMS, bounded, differences, measured

MOST_RUNGS = 200


def headline_differences(record: Record, folder: Path) -> Iterator[Problem]:
    """Yield all of the headline that does not follow from the rungs' items.

    Raises `FileFormatError` or `UsageError` for items that cannot be read or do not belong together.
    """
    entry = find(record.files, "ladder")
    if entry is None or record.headline is None:
        if entry is not None or record.headline is not None:
            yield Problem("/headline", "a headline needs the items of its ladders, and these need a headline")
        return
    task = next((task for task in record.tasks if task.name == record.headline.task), None)
    if task is None:
        yield Problem("/headline/task", f"the record has no task {record.headline.task!r}")
        return
    intact = [each for each in measured(record, folder) if each.key[1] is None]
    rungs = rungs_measured(record, folder, max((len(each.ids) for each in intact), default=0))
    strange = next((each.key for each in rungs if not is_of_a_ladder(each.key)), None)
    if strange is not None:
        yield Problem("/files", f"the ladders' items hold {strange[1]!r}, which is no rung such as fr#64")
        return
    found = headline_again(record, record.headline, task, [*intact, *rungs])
    yield from differences(["headline"], record.headline.document(), found.document())


def rungs_measured(record: Record, folder: Path, documents: int) -> list[Measurement]:
    """Return the ladders' items by cell, none without ladders; documents: the most that a language has.

    Raises `FileFormatError` for items that cannot be read, or for more than ladders can have.
    """
    entry = find(record.files, "ladder")
    if entry is None:
        return []
    most = MOST_RUNGS * len(record.languages) ** 2 * max(1, documents)
    return list(from_items(bounded(read_items(inside(folder, entry.name), max_bytes=MAX_ITEMS), most)))
