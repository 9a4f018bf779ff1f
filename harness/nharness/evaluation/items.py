"""Items: what one document or question gave, and what several of them come to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nharness.information import bits


@dataclass(frozen=True)
class Item:
    """One evaluated document or question.

    id: stable across cells, so that items of two cells pair. cluster: what intervals cluster by (items of one page).
    values: of a document nll (nats, float), tokens (int) and bytes (int, UTF-8); of a choice acc (0 or 1) and whatever
    else the task gives; `truncated` 1 where the prompt was longer than the model's context and lost its beginning.
    text: what the model wrote, where the values judge that; else None.
    """

    id: str
    cluster: str
    values: Mapping[str, Any]
    text: str | None = None


def total(items: Iterable[Item], value: str) -> float:
    """Return the sum of one value over items, exactly rounded."""
    return math.fsum(item.values[value] for item in items)


def perplexity(items: Iterable[Item]) -> float:
    """Return exp(total NLL / total tokens); nan without tokens, inf where it exceeds a float."""
    chosen = tuple(items)
    tokens = total(chosen, "tokens")
    if not tokens:
        return math.nan
    mean = total(chosen, "nll") / tokens
    return math.exp(mean) if mean < 709 else math.inf


def bits_per_byte(items: Iterable[Item]) -> float:
    """Return total NLL in bits over total UTF-8 bytes; nan without bytes."""
    chosen = tuple(items)
    size = total(chosen, "bytes")
    return bits(total(chosen, "nll")) / size if size else math.nan


def noise_floor(once: Iterable[Item], again: Iterable[Item]) -> float:
    """Return how far the bits per byte of documents move when the same model scores them twice; nan without bytes.

    The larger of how far they moved and of the root of the summed squares of the items' moves, over the bytes: moves of
    opposite sign cancel by luck, so that the first alone may be 0 where every item has moved. Raises `ValueError`
    unless the two have the same items in the same order.
    """
    moves, size = [], 0
    for one, other in zip(once, again, strict=True):
        if (one.id, one.values["bytes"]) != (other.id, other.values["bytes"]):
            raise ValueError(f"item {one.id} is held against {other.id}; expected the same items in the same order")
        moves.append(bits(float(one.values["nll"] - other.values["nll"])))
        size += one.values["bytes"]
    return max(abs(math.fsum(moves)), math.hypot(*moves)) / size if size else math.nan


def mean(items: Iterable[Item], value: str) -> float:
    """Return the mean of one value over the items that have it; nan when none has."""
    values = [float(item.values[value]) for item in items if value in item.values]
    return math.fsum(values) / len(values) if values else math.nan
