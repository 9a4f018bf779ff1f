"""Jobs: what is handed to a worker, one edition of the model with all the cells to be measured under it.

A job is a plain value of numbers and names, so that it can travel to another process or machine.
"""

from __future__ import annotations

import hashlib
import marshal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nharness.cells import Cell, CellOutcome, Edition
from nharness.evaluation.items import Item
from nharness.intervention import AnyChange, ValueChange
from nharness.run.store import Store, content_key
from nharness.sources import source_digest

Before = Mapping[tuple[str, str], Sequence[Item]]


@dataclass(frozen=True)
class Job:
    """Cells of one edition, the changes that make it (none for the baseline), and each cell's key in the store.

    before: the baseline's items by task and language, of cells that may stop before their last item.
    """

    edition: Edition | None
    changes: tuple[AnyChange, ...]
    cells: tuple[Cell, ...]
    keys: tuple[str, ...]
    before: Before = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """A cell with its key and outcome, on its way back from a worker."""

    cell: Cell
    key: str
    outcome: CellOutcome


def changes_digest(changes: Sequence[AnyChange], *, corpus: str) -> str:
    """Return the SHA-256 over what the changes do, bit by bit; `corpus`, its fingerprint, is where values are drawn."""
    sha = hashlib.sha256()
    for change in changes:
        if isinstance(change, ValueChange):
            sha.update(_function_digest(change))
            continue
        sha.update(f"{change.site}/{change.values_from}/{len(change.flat)}/".encode())
        if change.values_from:
            sha.update(f"{','.join(change.donors)}/{change.seed}/{corpus}/".encode())
        for array in (change.flat.astype("<i8"), change.scale.astype("<f4"), change.shift.astype("<f4")):
            sha.update(array.tobytes())
    return sha.hexdigest()


def _function_digest(change: ValueChange) -> bytes:
    """Return a digest of what a function does to which neurons: its name and source, and its parameters bit by bit."""
    function = change.function
    typed_in = marshal.dumps(getattr(function, "__code__", None))
    source = source_digest(function) or hashlib.sha256(typed_in).hexdigest()
    sha = hashlib.sha256(
        f"{change.site}/{function.__module__}:{function.__qualname__}/{source}/{change.seed}/".encode()
    )
    sha.update(change.flat.astype("<i8").tobytes())
    for name, value in sorted(change.parameters.items()):
        array = np.asarray(value)
        array = array.astype(array.dtype.newbyteorder("<"))
        sha.update(f"{name}/{array.dtype.str}{array.shape}/".encode() + array.tobytes())
    return sha.digest()


def neurons_digest(flat: NDArray[np.int64]) -> str:
    """Return the SHA-256 over sorted flat indices, int64 little-endian."""
    return hashlib.sha256(np.sort(flat).astype("<i8").tobytes()).hexdigest()


def cell_key(identity: Mapping[str, Any], digest: str, evaluation: dict[str, Any]) -> str:
    """Return a cell's content key from the model's identity, the changes and what is evaluated."""
    return content_key(stage="cell", model=dict(identity), changes=digest, evaluation=evaluation)


def stored(store: Store, key: str) -> CellOutcome | None:
    """Return a passed cell's outcome from the store, marked as reused; None when it is not there."""
    return store.get("cells", key, lambda payload: CellOutcome.from_document(payload, reused=True))
