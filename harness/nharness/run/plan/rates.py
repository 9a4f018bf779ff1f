"""How fast models ran on this machine, so that a plan is priced in time as well as in tokens.

The rate of a model's last run is kept in the cache folder, by model, device and number type as they were asked for.
What cannot be read or written is no rate; it stops nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from nharness.atomic import write_json
from nharness.cache import cache_folder
from nharness.cells import CellOutcome
from nharness.errors import OutputError
from nharness.spec import ModelSpec

LEAST_SECONDS = 5.0
MOST = 500


def remember_rate(model: ModelSpec, outcomes: Iterable[CellOutcome]) -> None:
    """Keep the forward tokens per second of the cells that were computed, not reused, in a run of `model`.

    Nothing is kept of less than `LEAST_SECONDS` of work.
    """
    computed = [each for each in outcomes if not each.reused]
    tokens, seconds = sum(each.tokens for each in computed), sum(each.seconds for each in computed)
    if seconds < LEAST_SECONDS or not tokens:
        return
    rates = {name: rate for name, rate in _read().items() if name != _name(model)}
    kept = dict([*rates.items(), (_name(model), tokens / seconds)][-MOST:])  # beyond them, the first of the alphabet go
    with suppress(OutputError):
        write_json(_file(), kept)


def rate_of(model: ModelSpec) -> float | None:
    """Return the forward tokens per second of one worker in the last run of `model` here; None where none is known."""
    return _read().get(_name(model))


def _read() -> dict[str, float]:
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(name): float(rate) for name, rate in found.items() if isinstance(rate, int | float) and rate > 0}


def _file() -> Path:
    return cache_folder() / "rates.json"


def _name(model: ModelSpec) -> str:
    place = Path(model.name).expanduser()
    name = place.resolve() if place.exists() else model.name
    return f"{name} {model.device} {model.dtype}"
