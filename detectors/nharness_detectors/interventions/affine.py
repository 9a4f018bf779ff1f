"""Affine changes a -> scale * a + shift, and the recorded values that shifts come from.

Legend: `G` languages, `M` neurons of the model, `n` neurons of the target. A language that never
reached a neuron (mixtures of experts) has no mean there and is left out of averages over languages.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nharness.detector import Need
from nharness.errors import UsageError
from nharness.intervention import Change, InterventionOptions, Target
from nharness.statistics import Statistics

Site = Literal["gate", "hidden"]


class GateOptions(InterventionOptions):
    """Where the value is set: at the gate (whose output is multiplied by the up projection) or at the hidden site."""

    site: Site = Field("gate", description="where the value is set")


class HiddenOptions(InterventionOptions):
    """Where the value is set: at the hidden site, or at the gate (whose output is multiplied by the up projection)."""

    site: Site = Field("hidden", description="where the value is set")


def affine(
    site: Site, flat: NDArray[np.int64], *, scale: float = 0.0, shift: NDArray[np.float64] | float = 0.0
) -> tuple[Change, ...]:
    """Return one change of the neurons, or none when there is no neuron."""
    if not flat.size:
        return ()
    scales = np.full(flat.size, scale, dtype=np.float32)
    return (Change(site, flat, scales, np.broadcast_to(np.float32(shift), flat.shape).copy()),)


def mean_needs(site: Site) -> tuple[Need, ...]:
    """Return the statistics that means over tokens need."""
    return (Need("moments", site), Need("activation_count", site))


def means(recorded: Statistics, flat: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return every language's mean activation of the neurons [G, n]; NaN where the language never reached one."""
    result = np.full((len(recorded.languages), flat.size), np.nan)
    for row, tag in zip(result, recorded.languages, strict=True):
        tokens = recorded.tokens(tag)[flat]
        np.divide(recorded.get("moments", "sum", tag)[flat], tokens, out=row, where=tokens > 0)
    return result


def average(rows: NDArray[np.float64], taken: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Return the mean over languages [n] of those `taken` [G, n] that have a value; 0 where there is none."""
    present = np.isfinite(rows) if taken is None else np.isfinite(rows) & taken
    count = present.sum(axis=0)
    total = np.where(present, rows, 0.0).sum(axis=0)
    result = np.zeros(rows.shape[1])
    np.divide(total, count, out=result, where=count > 0)
    return result


def language_mean(recorded: Statistics, target: Target) -> NDArray[np.float64]:
    """Return the target language's mean activation [n]; the mean over all languages for the general neurons' target."""
    rows = means(recorded, target.flat)
    if target.language in recorded.languages:
        return np.asarray(np.nan_to_num(rows[recorded.languages.index(target.language)]))
    return average(rows)


def require_language(name: str, recorded: Statistics, target: Target) -> int:
    """Return the row of the target's language; raises `UsageError` when the target is not of one language."""
    if target.language not in recorded.languages:
        raise UsageError(
            f"intervention {name} contrasts a language with the others and needs a target of one of "
            f"{', '.join(recorded.languages)}; got {target.language!r}"
        )
    return recorded.languages.index(target.language)
