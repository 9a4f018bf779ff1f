"""Is it the language or the script? Harm to other languages, split by whether they share the target's script.

Legend: `G` languages.

A cell's harm is given as a share of the intact model's value, so that languages can be averaged. The difference of the
two means is held against the same matrix with the languages' scripts reshuffled: all orders up to seven languages, else
1 999 seeded ones and the one there is; p is the share of them with a difference at least as large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nharness.analysis.structure.relabelling import MOST_EXACT, orders_of


@dataclass(frozen=True)
class ScriptSplit:
    """Mean harm to languages of the same and of another script, shares of the intact value, and p of the difference.

    pairs: how many pairs of a target and another language have the same script, and another. p is None where the split
    is the same however scripts are dealt.
    """

    same: float
    other: float
    p: float | None
    pairs: tuple[int, int]


def script_split(harm: NDArray[np.float64], scripts: Sequence[str], *, seed: int) -> ScriptSplit | None:
    """Return the split of harms [G, G], target by language, NaN where not measured; None where one side is empty."""
    labels = np.unique(np.asarray(scripts), return_inverse=True)[1]
    measured = np.isfinite(harm) & ~np.eye(len(harm), dtype=bool)
    alike = labels[:, None] == labels[None, :]
    if not (measured & alike).any() or not (measured & ~alike).any():
        return None
    same, other = float(harm[measured & alike].mean()), float(harm[measured & ~alike].mean())
    pairs = int((measured & alike).sum()), int((measured & ~alike).sum())
    return ScriptSplit(same, other, _chance(harm, measured, alike, same - other, seed), pairs)


def _chance(
    harm: NDArray[np.float64], measured: NDArray[np.bool_], alike: NDArray[np.bool_], observed: float, seed: int
) -> float | None:
    orders = orders_of(len(harm), seed)
    filled = np.where(measured, harm, 0.0)
    found = []
    for order in orders:
        dealt = alike[np.ix_(order, order)]
        one, two = measured & dealt, measured & ~dealt
        if one.any() and two.any():
            found.append(filled[one].mean() - filled[two].mean())
    if not found or np.ptp(found) < 1e-12:
        return None
    large = int((np.asarray(found) >= observed - 1e-12).sum())
    return large / len(found) if len(harm) <= MOST_EXACT else (1 + large) / (1 + len(found))
