"""Bringing records of older formats up to this one, a step at a time.

A step is a pure function from the document of one format to that of the next; every step stays here for ever. No step
changes a number: what an older format did not say is null in the newer one, or what was true of every older record.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nharness.errors import FileFormatError
from nharness.record.model import FORMAT, content_id

Step = Callable[[dict[str, Any]], dict[str, Any]]

_RECORD_2: dict[str, Any] = {"headline": None, "structure": None, "repeats": None, "warnings": []}
_MODEL_2 = {"checkpoint": None, "adapters": None, "record_dtype": None, "batching": None, "noise_floor_on": None}
_SPLIT_2 = {"sources": None, "unknown_share": None}
_INTERVENTION_2 = {"purpose": "harm", "source": None, "version": None, "plugin": None, "distribution": None}
_TASK_2 = {
    "plugin": None,
    "distribution": None,
    "few_shot_seed": None,
    "multiturn": None,
    "decoding": None,
    "repeats": None,
}
_CELL_2 = {"clusters": None, "truncated": None, "withheld": None}
_ESTIMATES = ("on_target", "off_target", "selectivity")


def _to_2(document: dict[str, Any]) -> dict[str, Any]:
    """Format 2: component, purpose, source, headline and more; until then units were of mlp and edits did harm.

    Files that are neither items nor neurons are no longer listed.
    """
    document |= {"format": "nharness-record/2"} | _RECORD_2
    _fill(document.get("identity"), {"source": None, "specification": None})
    _fill(document.get("model"), _MODEL_2)
    _fill(document.get("intervention"), _INTERVENTION_2)
    _fill(document.get("neurons"), {"component": "mlp"})
    _fill(document.get("cost"), {"detector": None})
    document["files"] = [each for each in _each(document.get("files")) if each.get("role") in {"items", "neurons"}]
    corpus = document.get("corpus")
    for split in _each(corpus.get("splits") if isinstance(corpus, dict) else None):
        _fill(split, _SPLIT_2)
    for task in _each(document.get("tasks")):
        _fill(task, _TASK_2 | {"scorer": "nharness" if task.get("lm_eval") is None else "lm-eval"})
    for target in _each(document.get("targets")):
        _fill(target, {"hinge": None, "short": None})
    for cell in _each(document.get("cells")):
        _fill(cell, _CELL_2)
        if isinstance(cell.get("flags"), list):
            cell["flags"] = ["few_clusters" if flag == "few_items" else flag for flag in cell["flags"]]
    for summary in [*_each(document.get("summary")), *_each(document.get("curve"))]:
        for part in [summary, *_each(summary.get("rows"))]:
            for name in _ESTIMATES:
                _fill(part.get(name), {"withheld": None})
    return document


STEPS: Mapping[str, Step] = {"nharness-record/1": _to_2}
FORMATS: tuple[str, ...] = (*STEPS, FORMAT)


def is_older(name: Any) -> bool:
    """Tell whether a format is known and not the newest."""
    return isinstance(name, str) and name in FORMATS and name != FORMAT


def migrate(document: Mapping[str, Any], *, steps: Mapping[str, Step] | None = None) -> dict[str, Any]:
    """Return the document in the newest format; one already there comes back equal.

    A migrated record gets a new content key. Raises `FileFormatError` for an unknown format, or a step that
    does not lead on.
    """
    available = STEPS if steps is None else steps
    current = copy.deepcopy(dict(document))
    seen: list[str] = []
    while current.get("format") != FORMAT:
        name = str(current.get("format"))
        if name not in available or name in seen:
            known = ", ".join(FORMATS)
            raise FileFormatError(f"format {name[:80]!r} cannot be migrated to {FORMAT!r}; known: {known}")
        seen.append(name)
        current = available[name](current)
    if seen and isinstance(current.get("identity"), dict):
        current["identity"] = {**current["identity"], "id": content_id(current)}
    return current


def _each(parts: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects of a list; nothing where a damaged document has something else."""
    yield from (part for part in parts if isinstance(part, dict)) if isinstance(parts, list) else ()


def _fill(part: Any, values: Mapping[str, Any]) -> None:
    """Write values into an object; a damaged document may have something else in its place."""
    if isinstance(part, dict):
        part.update(copy.deepcopy(dict(values)))
