"""Bringing records of older formats up to this one, a step at a time.

`nharness-record/1` is the first format, so the registry of steps is empty; a step is a pure function from the
document of one format to that of the next, and every step stays here for ever.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from nharness.errors import FileFormatError
from nharness.record.model import FORMAT, content_id

Step = Callable[[dict[str, Any]], dict[str, Any]]
FORMATS: tuple[str, ...] = ("nharness-record/1",)
STEPS: Mapping[str, Step] = {}


def is_older(name: Any) -> bool:
    """Tell whether a format is known and not the newest."""
    return isinstance(name, str) and name in FORMATS and name != FORMAT


def migrate(document: Mapping[str, Any], *, steps: Mapping[str, Step] | None = None) -> dict[str, Any]:
    """Return the document in the newest format; one already there comes back equal.

    A migrated record gets a new content key. Raises `FileFormatError` for a format that nobody knows, or a step that
    does not lead on.
    """
    available = STEPS if steps is None else steps
    current = copy.deepcopy(dict(document))
    seen: list[str] = []
    while current.get("format") != FORMAT:
        name = str(current.get("format"))
        if name not in available or name in seen:
            known = ", ".join(FORMATS)
            raise FileFormatError(f"format {name[:80]!r} cannot be brought up to {FORMAT!r}; known: {known}")
        seen.append(name)
        current = available[name](current)
    if seen and isinstance(current.get("identity"), dict):
        current["identity"] = {**current["identity"], "id": content_id(current)}
    return current
