"""Which records may be compared, which are ranked together, and between which ranks each of those lies.

Two records are *comparable* on a task when model, component, corpus, languages and the task itself are the same: their
difference means something. They are *ranked* together when kinds of neurons, budget, shares of a language's neurons,
intervention and the items measured are the same as well: only then does nothing but the detector differ. Within such a
set, all differences of selectivity are resampled together (`nharness.analysis.joint`), and a record's *rank interval*
goes from one more than the number of records that are surely better to all but those that are surely worse: with 95 %
confidence every rank of the set lies in its interval. Records whose intervals overlap cannot be told apart. A record
without items, with fewer neurons than its budget, or with fewer than 20 sources of text in a language, is shown and
not ranked; a language of whose text the tokenizer does not know more than 5 % is in no record's ranked mean.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nharness.analysis.bootstrap import FEW_CLUSTERS
from nharness.analysis.joint import rank_intervals
from nharness.record.cautions import shortfall_text, shortfalls
from nharness.record.model import Record
from nharness_leaderboard.paired import Difference, Paired, difference, unpaired
from nharness_leaderboard.results import Entry

_FROM = ("plugin", "distribution")


@dataclass(frozen=True)
class Standing:
    """A record's place on one task: the set it is in, its rank interval among `of` ranked ones, or why it has none."""

    group: str
    ranks: tuple[int, int] | None
    of: int
    reason: str | None = None

    @property
    def text(self) -> str:
        """The interval as it is written: `1-3 of 15`, a single rank alone; empty without a rank."""
        if self.ranks is None:
            return ""
        low, high = self.ranks
        return f"{low if low == high else f'{low}-{high}'} of {self.of}"


def comparable_key(record: Record, task_name: str) -> str:
    """Return the key of the set of records that this one may be compared with on a task."""
    task = record.task(task_name)
    return _key(
        record.model.fingerprint,
        record.model.name,
        record.neurons.component,
        record.corpus.fingerprint,
        sorted(record.languages),
        _without(task.document(), _FROM) if task else None,
    )


def ranking_key(record: Record, task_name: str) -> str:
    """Return the key of the set of records that this one is ranked with on a task; by what means it edited is alike."""
    edit = _without(record.intervention.document(), ("backend", *_FROM))
    text = sorted((each.language, each.items, each.bytes or 0) for each in record.baseline if each.task == task_name)
    return _key(comparable_key(record, task_name), record.selection.document(), edit, record.shares, text)


def _without(document: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names}


def _key(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=True).encode()).hexdigest()[:8]


def compare(a: Entry, b: Entry, task: str, known: Mapping[str, Mapping[str, Paired]]) -> Difference | None:
    """Return A minus B on a task: paired when both have the same items, else from their intervals."""
    one, two = known.get(a.slug, {}).get(task), known.get(b.slug, {}).get(task)
    paired = difference(one, two) if one is not None and two is not None else None
    return paired or unpaired(a.record, b.record, task)


def standings(entries: Sequence[Entry], known: Mapping[str, Mapping[str, Paired]]) -> dict[tuple[str, str], Standing]:
    """Return every record's standing, by (short name, task); a task without selectivity has none."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        for summary in entry.record.summary:
            if summary.selectivity is not None:
                key = ranking_key(entry.record, summary.task)
                groups.setdefault((summary.task, key), []).append(entry)
    found: dict[tuple[str, str], Standing] = {}
    for (task, key), members in groups.items():
        found |= {(slug, task): standing for slug, standing in _ranked(task, key, members, known).items()}
    return found


def unranked(record: Record, paired: Paired | None) -> str | None:
    """Return why a record cannot be ranked on a task; None where it can."""
    if paired is None:
        return "its items are not published, or do not give its selectivity"
    if shortfalls(record):
        return shortfall_text(record)
    if not paired.ranked.weights:
        return "the tokenizer hardly knows its languages"
    few: dict[str, int] = {}
    for (_, tag), cell in paired.ranked.effects.cells.items():
        few[tag] = min(few.get(tag, len(cell.ids)), len(set(cell.clusters)))
    thin = min(few, key=lambda tag: few[tag], default=None)
    if thin is not None and few[thin] < FEW_CLUSTERS:
        return f"{thin} was judged on {few[thin]} sources; a rank needs {FEW_CLUSTERS} in every language"
    return None


def _ranked(
    task: str, key: str, members: Sequence[Entry], known: Mapping[str, Mapping[str, Paired]]
) -> dict[str, Standing]:
    """Return the standings of one set: rank intervals among those of one text, the largest such group."""
    held = {entry.slug: known.get(entry.slug, {}).get(task) for entry in members}
    why = {entry.slug: unranked(entry.record, held[entry.slug]) for entry in members}
    able = {slug: paired for slug, paired in held.items() if paired is not None and why[slug] is None}
    texts = Counter(paired.key for paired in able.values())
    text = max(texts, key=lambda digest: (texts[digest], digest), default="")
    names = [slug for slug, paired in able.items() if paired.key == text]
    ranks = dict(zip(names, rank_intervals([able[slug].ranked for slug in names]), strict=True))
    other = "its items are not those of the other records of the set"
    return {
        slug: Standing(key, ranks[slug], len(names))
        if slug in ranks
        else Standing(key, None, len(names), reason or other)
        for slug, reason in why.items()
    }
