"""Which records may be compared, and which of them are alike but for the detector.

Two records are *comparable* on a task when model, component, corpus, languages and the task itself are the same:
their difference means something. They are *alike* when kinds of neurons, budget, shares of a language's neurons,
intervention and the items measured are the same as well: only then does nothing but the detector differ. Only
headlines say which of them is better (`nharness_leaderboard.ranks`); at one budget, records are compared but not
ranked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from nharness.record.model import Record
from nharness_leaderboard.paired import Difference, PairedSide, difference, unpaired
from nharness_leaderboard.results import Entry

_FROM = ("plugin", "distribution")


def comparable_key(record: Record, task_name: str) -> str:
    """Return the key of the set of records that this one may be compared with on a task."""
    task = record.task(task_name)
    return digest_of(
        record.model.fingerprint,
        record.model.name,
        record.neurons.component,
        record.corpus.fingerprint,
        sorted(record.languages),
        _without(task.document(), _FROM) if task else None,
    )


def alike_key(record: Record, task_name: str) -> str:
    """Return the key of the set of records that differ in the detector alone, whatever the backend of the edit."""
    text = sorted((each.language, each.items, each.bytes or 0) for each in record.baseline if each.task == task_name)
    selection = record.selection.document()
    return digest_of(comparable_key(record, task_name), selection, edit_of(record), record.shares, text)


def edit_of(record: Record) -> dict[str, Any]:
    """Return what was done to the model, without the backend."""
    return _without(record.intervention.document(), ("backend", *_FROM))


def _without(document: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names}


def digest_of(*parts: Any, length: int = 8) -> str:
    """Return a short digest of JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=True).encode()).hexdigest()[:length]


def compare(a: Entry, b: Entry, task: str, known: Mapping[str, Mapping[str, PairedSide]]) -> Difference | None:
    """Return A minus B on a task: paired when both have the same items, else from their intervals."""
    one, two = known.get(a.slug, {}).get(task), known.get(b.slug, {}).get(task)
    paired = difference(one, two) if one is not None and two is not None else None
    return paired or unpaired(a.record, b.record, task)
