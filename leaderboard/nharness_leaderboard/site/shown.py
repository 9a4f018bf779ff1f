"""Which of a model's records the front page shows: one per detector, otherwise alike, with a headline if possible."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from nharness.information import BITS_PER_BYTE
from nharness.record.model import Record
from nharness.record.results import TaskSummary
from nharness_leaderboard.ranks import set_key
from nharness_leaderboard.results import Entry
from nharness_leaderboard.ties import alike_key, digest_of
from nharness_leaderboard.verdicts import of_a_study

TOY = 50_000_000  # parameters below which a model is a toy


@dataclass(frozen=True)
class Shown:
    """The records shown of one model: one per detector, best first; ranked: by their headlines."""

    model: Record
    entries: tuple[Entry, ...]
    ranked: bool

    @property
    def task(self) -> str:
        """Name of the task that harm is measured by."""
        return next(task.name for task in self.model.tasks if task.metric == BITS_PER_BYTE)

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages of the task."""
        return next(task.languages for task in self.model.tasks if task.name == self.task)

    @property
    def detectors(self) -> list[str]:
        """Names of the detectors, best first."""
        return [entry.record.detector.name for entry in self.entries]

    def summary(self, entry: Entry) -> TaskSummary | None:
        """Return the summary that numbers are read from."""
        return entry.record.summary_of(self.task)


def shown_sets(entries: Sequence[Entry]) -> list[Shown]:
    """Return what is shown of every model: ranked sets before unranked, real models before toys, larger ones first.

    Sets of fewer than half as many detectors as the largest of their kind come last: they compare little.
    """
    found = list(_sets(entries))
    most = {
        kind: max((len(each.entries) for each in found if each.ranked == kind), default=0) for kind in (True, False)
    }

    def place(each: Shown) -> tuple[bool, bool, bool, int]:
        parameters = each.model.model.parameters
        return not each.ranked, 2 * len(each.entries) < most[each.ranked], parameters < TOY, -parameters

    return sorted(found, key=place)


def _sets(entries: Sequence[Entry]) -> Iterator[Shown]:
    def model_of(entry: Entry) -> str:
        return f"{entry.record.model.name}\0{entry.record.model.fingerprint}"

    for _, group in groupby(sorted(entries, key=model_of), key=model_of):
        alike: dict[tuple[bool, str], list[Entry]] = {}
        for entry in group:
            key = _key(entry.record)
            if key is not None:
                alike.setdefault(key, []).append(entry)
        if alike:
            chosen = {key: _one_a_detector(members) for key, members in alike.items()}
            (ranked, _), best = max(chosen.items(), key=lambda item: (item[0][0], len(item[1]), item[0][1]))
            ordered = sorted(best, key=_order)
            yield Shown(ordered[0].record, tuple(ordered), ranked)


def _key(record: Record) -> tuple[bool, str] | None:
    """Return whether a record has a headline, and its set; None without a perplexity task, and for a study's record."""
    if of_a_study(record):
        return None
    task = next((t for t in record.tasks if t.metric == BITS_PER_BYTE), None)
    summary = record.summary_of(task.name) if task else None
    if task is None or summary is None or summary.selectivity is None:
        return None
    if record.headline is not None and record.headline.task == task.name:
        return True, set_key(record)
    return False, alike_key(record, task.name)


def _one_a_detector(members: Sequence[Entry]) -> list[Entry]:
    """Return each detector's newest record, of the commonest selection if it has one of that."""
    common = Counter(digest_of(entry.record.selection.document()) for entry in members)
    chosen: dict[str, Entry] = {}
    for entry in sorted(
        members,
        key=lambda each: (
            common[digest_of(each.record.selection.document())],
            each.record.identity.created,
            each.slug,
        ),
    ):
        chosen[entry.record.detector.name] = entry
    return list(chosen.values())


def _order(entry: Entry) -> tuple[float, str]:
    record = entry.record
    if record.headline is not None:
        return -(record.headline.estimate.value if record.headline.estimate else -1.0), record.detector.name
    found = next((s for s in record.summary if s.selectivity is not None), None)
    return -(found.selectivity.value if found and found.selectivity else -math.inf), record.detector.name
