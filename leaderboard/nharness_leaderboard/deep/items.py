"""Every aggregate of a record from its items."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from nharness.analysis.analyse import reanalyse
from nharness.analysis.measurements import Measurement, from_items
from nharness.errors import FileFormatError
from nharness.record.items import RecordedItem, read_items
from nharness.record.model import Record
from nharness.record.problems import Problem, pointer, shown
from nharness.record.store import find, inside
from nharness_leaderboard.deep.sense import item_problems
from nharness_leaderboard.deep.text import text_problems

# What a recomputation may take: bytes of items, bootstrap draws.
MAX_ITEMS, MAX_DRAWS = 400_000_000, 100_000
# What `sense` looks at, since the analysis of items does not know it.
_NOT_IN_ITEMS = ("edited_activations", "items_available")


def item_differences(record: Record, folder: Path) -> Iterator[Problem]:
    """Yield every aggregate that does not follow from the items, and impossible items.

    Raises `FileFormatError` or `UsageError` for items that cannot be read or do not belong together.
    """
    if find(record.files, "items") is None:
        return
    if record.analysis.bootstrap_draws > MAX_DRAWS:
        yield Problem("/analysis/bootstrap_draws", f"more than {MAX_DRAWS} draws are not recomputed")
        return
    measurements = measured(record, folder)
    yield from item_problems(record, measurements)
    yield from text_problems(record, measurements)
    found = reanalyse(record, measurements)
    for name in ("baseline", "cells", "summary"):
        parts = [part.document() for part in getattr(found, name)]
        yield from differences([name], [part.document() for part in getattr(record, name)], parts)
    for index, draw in enumerate(record.controls.draws if record.controls else ()):
        changes = found.control_changes.get((draw.target, draw.draw), {})
        yield from differences(["controls", "draws", index, "changes"], draw.document()["changes"], changes)
    if record.controls is None and found.control_changes:
        yield Problem("/controls", "the items file has random draws, the record lists none")


def measured(record: Record, folder: Path) -> list[Measurement]:
    """Return a record's items by cell; raises `FileFormatError` for a file that cannot be the record's."""
    entry = find(record.files, "items")
    if entry is None:
        raise FileFormatError("the record has no items file")
    items = read_items(inside(folder, entry.name), max_bytes=MAX_ITEMS)
    return from_items(bounded(items, _most(record)))


def _most(record: Record) -> int:
    """Return the most items that a record's cells, baselines and draws can have."""
    cells = len(record.baseline) + len(record.cells)
    cells += sum(len(c) for d in (record.controls.draws if record.controls else ()) for c in d.changes.values())
    return cells * max([1, *(b.items for b in record.baseline), *(c.items_available for c in record.cells)])


def bounded(items: Iterable[RecordedItem], most: int) -> Iterator[RecordedItem]:
    """Yield items; raises `FileFormatError` at the first beyond `most`."""
    for number, item in enumerate(items, start=1):
        if number > most:
            raise FileFormatError(f"line {number}: the record's cells have {most} items at most")
        yield item


def differences(place: list[str | int], got: Any, expected: Any) -> Iterator[Problem]:
    """Yield every place where two JSON documents differ by more than rounding."""
    if isinstance(got, dict) and isinstance(expected, dict):
        for name in dict.fromkeys([*got, *expected]):
            if name not in _NOT_IN_ITEMS:
                yield from differences([*place, name], got.get(name), expected.get(name))
    elif isinstance(got, list | tuple) and isinstance(expected, list | tuple) and len(got) == len(expected):
        for index, (one, other) in enumerate(zip(got, expected, strict=True)):
            yield from differences([*place, index], one, other)
    elif not _agree(got, expected):
        yield Problem(pointer(*place), f"the record says {shown(got)}, the items give {shown(expected)}")


def _agree(got: Any, expected: Any) -> bool:
    if isinstance(got, int | float) and isinstance(expected, int | float) and not isinstance(got, bool):
        return math.isclose(got, expected, rel_tol=1e-6, abs_tol=1e-9)
    return bool(got == expected)
