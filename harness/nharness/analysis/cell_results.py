"""The record's cells and baselines of one task: values, intervals, p and q, flags.

Flags: `few_clusters` fewer than 20 clusters, below which an interval is wide and below five of which there is none, nor
a p (`withheld` says so); `near_chance`,
`near_ceiling`, `near_floor` a baseline nearer to an end than a change that could be detected (significance.py);
`underpowered` a change that is not significant while one of a tenth of the baseline would not have been either;
`below_noise_floor` a change smaller than what another batch size does; `overlap` detection text in the evaluation;
`unknown_tokens` more than 1 % of the text's tokens are the tokenizer's unknown one;
`truncated` some prompt was longer than the context; `low_confidence` a tenth of the hits or more was hardly recognised;
`empty_target` no neuron to deactivate, so that nothing changes.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nharness.analysis.bootstrap import FEW_CLUSTERS
from nharness.analysis.control_effects import ControlEffects
from nharness.analysis.effects import Effects, Place
from nharness.analysis.measurements import Key, Measurement, Paired, columns
from nharness.analysis.rounding import interval, known, rounded
from nharness.analysis.significance import Headroom, benjamini_hochberg, detectable_effect, mcnemar, room_flags
from nharness.information import BITS_PER_BYTE, nats
from nharness.record.cells import NOT_MEASURED, Baseline, CellFlag, CellResult, Target, Task
from nharness.record.types import one_line

DETECTABLE_SHARE = 0.1
UNBOUNDED = (BITS_PER_BYTE,)
LOW_SHARE = 0.1


@dataclass(frozen=True)
class Context:
    """What a task's cells are read with, beyond their items.

    table: measurements by key. reasons: why a cell failed, by key. noise_floors: by language, in the task's unit.
    overlapping: languages whose evaluation text is also detection text. unknown: those that the tokenizer hardly knows.
    """

    table: Mapping[Key, Measurement]
    reasons: Mapping[Key, str] = field(default_factory=dict)
    noise_floors: Mapping[str, float] = field(default_factory=dict)
    overlapping: Collection[str] = ()
    unknown: Collection[str] = ()


def baselines_of(task: Task, context: Context, digits: int) -> list[Baseline]:
    """Return the intact model's numbers in every language that was measured; a failed one is absent."""
    found = []
    for language in task.languages:
        measured = context.table.get((task.name, None, None, language))
        if measured is None or not measured.ids:
            continue
        value, weight = columns(measured, task.metric)
        kept = np.isfinite(value) & np.isfinite(weight)
        if not kept.any() or weight[kept].sum() <= 0:
            continue
        tokens, size = (_sum(measured, name, kept) for name in ("tokens", "bytes"))
        perplexity = None
        if task.metric == BITS_PER_BYTE and tokens:
            perplexity = rounded(_exp(float(measured.values["nll"][kept].sum()) / tokens), digits)
        floor = context.noise_floors.get(language)
        found.append(
            Baseline(
                task=task.name,
                language=language,
                value=known(float(value[kept].sum() / weight[kept].sum()), digits),
                items=int(kept.sum()),
                tokens=tokens,
                bytes=size,
                perplexity=perplexity,
                noise_floor=rounded(floor, digits),
            )
        )
    return found


def cells_of(
    effects: Effects, targets: Sequence[Target], controls: ControlEffects, context: Context
) -> list[CellResult]:
    """Return one result per target and language of the task, in that order, failed ones with their reason."""
    places = list(effects.cells)
    p = effects.intervals.p if effects.intervals is not None else np.empty(0)
    q = dict(zip(places, benjamini_hochberg(p), strict=True))
    results = []
    for target in targets:
        for language in effects.task.languages:
            place = target.name, language
            if place in effects.cells:
                results.append(_computed(effects, place, float(q[place]), controls, context))
            elif place in effects.empty:
                results.append(_empty(effects.task, place, context, effects.settings.precision))
            else:
                results.append(_failed(effects.task, place, context))
    return results


def _computed(effects: Effects, place: Place, q: float, controls: ControlEffects, context: Context) -> CellResult:
    cell, found, digits = effects.cells[place], effects.intervals, effects.settings.precision
    at = list(effects.cells).index(place)
    measured = context.table[effects.task.name, place[0], None, place[1]]
    error = float(found.standard_error[at]) if found is not None else math.nan
    clusters = len(set(cell.clusters))
    detectable = detectable_effect(error, clusters, level=1 - effects.settings.confidence)
    withheld = found.withheld(at) if found is not None else None
    exact = mcnemar(cell.before, cell.after) if effects.right_or_wrong and withheld is None else None
    return CellResult(
        task=effects.task.name,
        target=place[0],
        language=place[1],
        status="ok",
        baseline=known(cell.baseline, digits),
        edited=known(cell.edited, digits),
        change=known(cell.change, digits),
        interval=interval(found.low[at], found.high[at], digits) if found is not None else None,
        p=rounded(float(found.p[at]), digits) if found is not None else None,
        q=rounded(q, digits),
        mcnemar_p=rounded(exact, digits),
        perplexity_ratio=rounded(_perplexity_ratio(effects.task, cell), digits),
        items=len(cell.ids),
        items_available=max(len(cell.ids), measured.available or len(measured.ids)),
        truncated=_count(measured, "truncated") or None,
        clusters=clusters,
        withheld=withheld,
        edited_activations=measured.edited_activations,
        flags=_flags(effects, place, q, detectable, context),
        minimum_detectable_effect=rounded(detectable, digits),
        control=controls.part(place),
    )


def _empty(task: Task, place: Place, context: Context, digits: int) -> CellResult:
    baseline = context.table[task.name, None, None, place[1]]
    value, weight = columns(baseline, task.metric)
    kept = np.isfinite(value) & np.isfinite(weight)
    same = known(float(value[kept].sum() / weight[kept].sum()), digits)
    return CellResult(
        task=task.name,
        target=place[0],
        language=place[1],
        status="ok",
        baseline=same,
        edited=same,
        change=0.0,
        interval=(0.0, 0.0),
        perplexity_ratio=1.0 if task.metric == BITS_PER_BYTE else None,
        items=int(kept.sum()),
        items_available=max(int(kept.sum()), baseline.available or 0),
        clusters=len({name for name, keep in zip(baseline.clusters, kept, strict=True) if keep}),
        edited_activations=0,
        flags=("empty_target",),
    )


def _failed(task: Task, place: Place, context: Context) -> CellResult:
    target, language = place
    own, intact = (task.name, target, None, language), (task.name, None, None, language)
    reason = context.reasons.get(own)
    if reason is None and intact not in context.table:
        reason = f"no baseline: {context.reasons.get(intact, NOT_MEASURED)}"
    if reason is None:
        reason = "it shares no item with its baseline" if own in context.table else NOT_MEASURED
    return CellResult(task=task.name, target=target, language=language, status="failed", reason=one_line(reason))


def _flags(
    effects: Effects, place: Place, q: float, detectable: float | None, context: Context
) -> tuple[CellFlag, ...]:
    cell, task, settings = effects.cells[place], effects.task, effects.settings
    bounded = task.metric not in UNBOUNDED and task.unit.startswith("share")
    room = Headroom(0.0, 1.0 if bounded else None, task.chance, higher_is_better=task.direction == "higher")
    flags = list(room_flags(cell.baseline, detectable, room))
    if len(set(cell.clusters)) < FEW_CLUSTERS:
        flags.append("few_clusters")
    blind = detectable is not None and detectable > DETECTABLE_SHARE * abs(cell.baseline)
    if blind and not q < 1 - settings.confidence:
        flags.append("underpowered")
    if abs(cell.change) < context.noise_floors.get(place[1], 0.0):
        flags.append("below_noise_floor")
    if place[1] in context.overlapping:
        flags.append("overlap")
    if place[1] in context.unknown:
        flags.append("unknown_tokens")
    measured = context.table[task.name, place[0], None, place[1]]
    if _count(measured, "truncated"):
        flags.append("truncated")
    if _count(measured, "low_confidence") > LOW_SHARE * _count(measured, task.metric):
        flags.append("low_confidence")
    return tuple(flags)  # type: ignore[arg-type]


def _count(measured: Measurement, name: str) -> int:
    """Return how many items have a value of that name above 0."""
    return int((measured.values[name] > 0).sum()) if name in measured.values else 0


def _perplexity_ratio(task: Task, cell: Paired) -> float | None:
    if task.metric != BITS_PER_BYTE or not cell.tokens:
        return None
    return _exp(nats(float((cell.after - cell.before).sum())) / cell.tokens)


def _exp(value: float) -> float:
    return math.exp(value) if value < 690 else math.inf


def _sum(measured: Measurement, name: str, kept: np.ndarray) -> int | None:
    return int(measured.values[name][kept].sum()) if name in measured.values else None
