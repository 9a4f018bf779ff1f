"""The summary of a matrix: harm on the diagonal against harm off it, per row and over all rows, with joint intervals.

A *row* is one target that is a language's neurons. *Harm* is the change turned so that worse is positive; for an
intervention that steers or restores, better is, and read *gain* for harm. The row of the language that a steering
leads away from cannot move: it has nulls and is in no mean.

- on_target: harm to the own language. off_target: mean harm to the task's other languages that were computed.
- selectivity = on_target - off_target. The task's numbers are means over the complete rows, those that have both, so
  that its selectivity is the difference of its on and off. Rows of a task that lacks their language have nulls. A
  target without neurons is a row of zeros: a detector that finds nothing harms nothing, and that counts.
- Where a language has several targets, shares of its neurons, the task's numbers are over the largest one's rows: what
  a smaller dose does would only water them down.
- diagonal: the own language is harmed strictly more than every other. diagonal_share: over rows that have both.
- per-neuron damage = on_target / neurons; the task's is the mean over rows with neurons.
- LangSpec-F1 (Le and Li 2026), where higher is better: drops are harms clipped at 0,
  `P = drop_own / (drop_own + mean other drop)`, `R = drop_own / baseline_own`, `F1 = 2 P R / (P + R)`, 0 without drop.

Intervals are those of linear combinations of cells under one resampling of the clusters (bootstrap.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nharness.analysis.control_effects import ControlEffects
from nharness.analysis.control_test import control_test
from nharness.analysis.effects import Effects, Place
from nharness.analysis.rounding import interval, known, rounded
from nharness.analysis.significance import control_deviations
from nharness.record.cells import Target, largest_targets
from nharness.record.results import ControlSelectivity, RowSummary, TaskSummary
from nharness.record.types import Estimate

Weights = Mapping[Place, float]
PARTS = ("on_target", "off_target", "selectivity")


@dataclass(frozen=True)
class Row:
    """One language target of one task: its own cell and its others, those that were computed or are empty."""

    target: Target
    language: str
    own: Place | None
    others: tuple[Place, ...]

    @property
    def complete(self) -> bool:
        """Whether it has an on-target and an off-target harm."""
        return self.own is not None and bool(self.others)

    def weights(self) -> dict[str, Weights]:
        """Return what each number of the row is made of; a number that cannot be computed is absent."""
        on = {self.own: 1.0} if self.own is not None else {}
        off = {place: 1.0 / len(self.others) for place in self.others}
        parts: dict[str, Weights] = {"on_target": on} if on else {}
        parts |= {"off_target": off} if off else {}
        return parts | ({"selectivity": {**on, **{p: -w for p, w in off.items()}}} if self.complete else {})


def rows_of(effects: Effects, targets: Sequence[Target]) -> tuple[Row, ...]:
    """Return one row per language target, in order, whatever could be computed of it."""
    return tuple(_row(effects, target, target.language) for target in targets if target.language is not None)


def summarise(
    effects: Effects, targets: Sequence[Target], controls: ControlEffects | None = None, area: float | None = None
) -> TaskSummary:
    """Return the summary of one task; `area` is the area under its budget curve, where there is one."""
    rows, digits = rows_of(effects, targets), effects.settings.precision
    wanted = [row.weights() for row in rows] + [mean_weights(rows)]
    estimates = list(_estimates(effects, wanted))
    summaries = tuple(_row_summary(effects, row, parts) for row, parts in zip(rows, estimates, strict=False))
    whole = largest_targets(targets)
    counted = [row for row in summaries if row.target in whole]
    diagonal = [row.diagonal for row in counted if row.diagonal is not None]
    return TaskSummary(
        task=effects.task.name,
        **estimates[-1],
        diagonal_share=rounded(float(np.mean(diagonal)), digits) if diagonal else None,
        per_neuron_damage=_mean([row.per_neuron_damage for row in counted], digits),
        langspec_f1=_mean([row.langspec_f1 for row in counted], digits),
        control_selectivity=control_selectivity(rows, controls) if controls is not None else None,
        area_under_budget=rounded(area, digits),
        rows=summaries,
    )


def mean_weights(rows: Sequence[Row]) -> dict[str, Weights]:
    """Return what the task's means over complete rows are made of; nothing without a complete row."""
    whole = largest_targets(row.target for row in rows)
    complete = [row.weights() for row in rows if row.complete and row.target.name in whole]
    merged: dict[str, Weights] = {}
    for name in PARTS if complete else ():
        total: dict[Place, float] = {}
        for parts in complete:
            for place, weight in parts[name].items():
                total[place] = total.get(place, 0.0) + weight / len(complete)
        merged[name] = total
    return merged


def drawn_selectivity(rows: Sequence[Row], controls: ControlEffects) -> tuple[float, list[float]] | None:
    """Return the matrix's selectivity on the draws' items, and that of every draw which covers the whole matrix.

    None without a complete row or when some of its cells were not compared with any draw.
    """
    weights = mean_weights(rows).get("selectivity", {})
    places = [place for place in weights if place not in controls.effects.empty]
    if not places or any(place not in controls.own for place in places):
        return None
    sign = controls.effects.sign
    own = sum(sign * weights[place] * controls.own[place] for place in places)
    drawn = []
    for number in range(controls.most):
        values = [controls.draws[place].get(number) for place in places]
        if all(value is not None for value in values):
            pairs = zip(places, values, strict=True)
            drawn.append(sum(sign * weights[place] * value for place, value in pairs if value is not None))
    return own, drawn


def control_selectivity(rows: Sequence[Row], controls: ControlEffects) -> ControlSelectivity | None:
    """Return how the selectivity stands among that of random neurons, None when no draw covers the matrix."""
    found = drawn_selectivity(rows, controls)
    if found is None or not found[1]:
        return None
    own, drawn = found
    digits = controls.effects.settings.precision
    p = control_test(np.array([[own]]), np.array(drawn)[None, :, None]).told[0, 0]
    return ControlSelectivity(
        draws=len(drawn),
        mean=known(float(np.mean(drawn)), digits),
        sd=rounded(float(np.std(drawn, ddof=1)), digits) if len(drawn) > 1 else None,
        effect=rounded(control_deviations(own, drawn), digits),
        p=rounded(float(p), digits),
    )


def langspec_f1(own_harm: float, other_harms: Sequence[float], own_baseline: float) -> float | None:
    """Return LangSpec-F1, 0 to 1; None when the baseline is not above 0 or there is no other language."""
    if own_baseline <= 0 or not other_harms:
        return None
    drop, others = max(0.0, own_harm), float(np.mean([max(0.0, harm) for harm in other_harms]))
    if drop == 0:
        return 0.0
    precision, recall = drop / (drop + others), min(1.0, drop / own_baseline)
    return 2 * precision * recall / (precision + recall)


def _row(effects: Effects, target: Target, language: str) -> Row:
    if language == effects.aim.source:
        return Row(target, language, None, ())
    there = [tag for tag in effects.task.languages if effects.harm((target.name, tag)) is not None]
    own = (target.name, language) if language in there else None
    return Row(target, language, own, tuple((target.name, tag) for tag in there if tag != language))


def _estimates(effects: Effects, wanted: Sequence[Mapping[str, Weights]]) -> Iterator[dict[str, Estimate]]:
    """Yield the estimates of every entry, all from one resampling; a combination of empty cells is 0 -+ 0.

    Where harms cancel, what is left of them beyond the record's digits is 0.
    """
    digits = effects.settings.precision
    columns = [effects.contrast(weights) for parts in wanted for weights in parts.values()]
    found = effects.resamples.intervals(np.stack(columns, axis=1)) if effects.resamples and columns else None
    at = 0
    for parts in wanted:
        estimates: dict[str, Estimate] = {}
        for name, weights in parts.items():
            if found is None:
                estimates[name] = Estimate(value=0.0, interval=(0.0, 0.0))
            else:
                size = sum(abs(weight * (effects.harm(place) or 0.0)) for place, weight in weights.items())
                value, low, high = (
                    0.0 if abs(number) < size * 10.0**-digits else float(number)
                    for number in (found.estimate[at], found.low[at], found.high[at])
                )
                ends = interval(low, high, digits)
                estimates[name] = Estimate(value=known(value, digits), interval=ends, withheld=found.withheld(at))
            at += 1
        yield estimates


def _row_summary(effects: Effects, row: Row, estimates: Mapping[str, Estimate]) -> RowSummary:
    digits, task = effects.settings.precision, effects.task
    others = {place[1]: known(effects.harm(place) or 0.0, digits) for place in row.others}
    own = rounded(effects.harm(row.own), digits) if row.own is not None else None
    harms = ({row.language: own} if own is not None else {}) | others
    worst = max(harms, key=lambda tag: harms[tag], default=None)
    alone = worst is not None and sum(harm == harms[worst] for harm in harms.values()) == 1
    cell = effects.cells.get(row.own) if row.own is not None else None
    f1 = None
    if task.direction == "higher" and effects.aim.purpose == "harm" and own is not None and cell is not None:
        f1 = langspec_f1(own, list(others.values()), cell.baseline)
    return RowSummary(
        target=row.target.name,
        language=row.language,
        **estimates,
        diagonal=(alone and worst == row.language) if row.complete else None,
        largest=worst if alone else None,
        per_neuron_damage=rounded(own / row.target.neurons, digits) if own is not None and row.target.neurons else None,
        langspec_f1=rounded(f1, digits),
    )


def _mean(values: Sequence[float | None], digits: int) -> float | None:
    present = [value for value in values if value is not None]
    return rounded(float(np.mean(present)), digits) if present else None
