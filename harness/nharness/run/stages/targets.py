"""Targets: which neurons every edition deactivates, from a detection, the chosen kinds, and a budget.

Legend: `T` targets, `G` languages, `M` neurons of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nharness.neurons import KINDS, Detection
from nharness.targets import GENERAL


def choose_targets(detection: Detection, kinds: Sequence[str], budget: float | None) -> Detection:
    """Return a detection whose rows are the targets: bool membership [T, M].

    Without kinds a language's target is all of its neurons; with `specific` and/or `related`, those of its neurons that
    are of such a kind. `general` is one target for all languages: neurons of every language, counted over the
    detector's candidates, since the selection itself favours what tells languages apart. With other kinds beside it,
    the general neurons join every language's target.
    """
    cut = detection if budget is None else detection.cut(budget)
    if not kinds:
        return cut
    chosen = cut.kinds()
    wanted = np.isin(chosen, [KINDS.index(kind) for kind in kinds if kind != GENERAL])
    general = detection.kinds(over="all") == KINDS.index(GENERAL)
    if tuple(kinds) == (GENERAL,):
        return _rows(cut, (GENERAL,), general[None, :])
    membership = cut.membership & wanted
    return _rows(cut, cut.languages, membership | general if GENERAL in kinds else membership)


def best_share(targets: Detection, detection: Detection, share: float) -> Detection:
    """Return the targets with the best `round(share * n)` (at least 1) of the n neurons of each row, by the scores.

    detection: whose scores they are; ties are broken by flat order. A row without neurons stays so.
    """
    membership = np.zeros_like(targets.membership)
    for row, strength in enumerate(detection.strength()):
        flat = np.flatnonzero(targets.membership[row])
        best = flat[np.argsort(-strength[flat], kind="stable")]
        membership[row, best[: max(1, round(share * len(flat)))]] = True
    return _rows(targets, targets.languages, membership)


def without(detection: Detection, neuron: int) -> Detection:
    """Return the detection without one neuron (flat index) in any language."""
    membership = detection.membership.copy()
    membership[:, neuron] = False
    return replace(detection, membership=membership)


def _rows(detection: Detection, names: tuple[str, ...], membership: NDArray[np.bool_]) -> Detection:
    score = membership.astype(np.float32)
    return Detection(
        detection.detector,
        names,
        detection.layer_widths,
        membership,
        score,
        "highest",
        options=detection.options,
        provenance=detection.provenance,
    )
