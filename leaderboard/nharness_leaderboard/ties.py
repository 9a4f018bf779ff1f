"""Which records may be compared, which may be ranked, and which of those cannot be told apart.

Two records are *comparable* on a task when model, component, corpus, languages and the task itself are the same: their
difference means something. They are *ranked* together when kinds of neurons, budget, shares of a language's neurons,
intervention and the items measured are the same as well: only then does nothing but the detector differ. Within such a
set, records are taken in order of selectivity; the first one leads tier 1, and every following one whose difference
from the leader is not decided (its interval includes 0) shares the tier; the next one leads the next tier. Nothing is
ranked within a tier.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nharness.record.model import Record
from nharness_leaderboard.paired import Difference, Influence, difference, unpaired
from nharness_leaderboard.results import Entry

_FROM = ("plugin", "distribution")


@dataclass(frozen=True)
class Standing:
    """A record's place on one task: the set it is ranked in, its tier, the tier's leader, how far behind it is."""

    group: str
    tier: int
    leader: str
    behind: Difference | None


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


def compare(a: Entry, b: Entry, task: str, known: Mapping[str, Mapping[str, Influence]]) -> Difference | None:
    """Return A minus B on a task: paired when both have the same items, else from their intervals."""
    one, two = known.get(a.slug, {}).get(task), known.get(b.slug, {}).get(task)
    paired = difference(one, two) if one is not None and two is not None else None
    return paired or unpaired(a.record, b.record, task)


def standings(
    entries: Sequence[Entry], known: Mapping[str, Mapping[str, Influence]]
) -> dict[tuple[str, str], Standing]:
    """Return every record's standing, by (short name, task); a task without selectivity has none."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        for summary in entry.record.summary:
            if summary.selectivity is not None:
                key = ranking_key(entry.record, summary.task)
                groups.setdefault((summary.task, key), []).append(entry)
    found: dict[tuple[str, str], Standing] = {}
    for (task, key), members in groups.items():
        found |= _tiers(task, key, sorted(members, key=lambda e: (-_selectivity(e, task), e.slug)), known)
    return found


def _tiers(
    task: str, key: str, members: Sequence[Entry], known: Mapping[str, Mapping[str, Influence]]
) -> dict[tuple[str, str], Standing]:
    found: dict[tuple[str, str], Standing] = {}
    tier, leader = 0, members[0]
    for entry in members:
        behind = compare(leader, entry, task, known) if tier else None
        if not tier or (behind is not None and behind.decided):
            tier, leader, behind = tier + 1, entry, None
        found[entry.slug, task] = Standing(key, tier, leader.slug, behind)
    return found


def _selectivity(entry: Entry, task: str) -> float:
    summary = entry.record.summary_of(task)
    return summary.selectivity.value if summary and summary.selectivity else float("-inf")
