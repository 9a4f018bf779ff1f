"""Whether items are plausible: possible values, one text in all cells, edits that have an effect.

A record can be computed correctly from items that were never measured. These are the marks of such items that show
without the model; only making the record again is proof.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from nharness.analysis.measurements import Measurement, by_key
from nharness.information import BITS_PER_BYTE
from nharness.record.cells import CellResult, Task
from nharness.record.model import Record
from nharness.record.problems import Problem, shown

RIGHT_OR_WRONG = frozenset({"acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match"})
LIKELIHOODS = ("nll", "margin")


def item_problems(record: Record, measurements: Sequence[Measurement]) -> Iterator[Problem]:
    """Yield what is impossible: values out of range, different text in different cells, an edit without effect."""
    table = by_key(measurements)
    tasks = {task.name: task for task in record.tasks}
    for measured in measurements:
        task = tasks.get(measured.task)
        if task is None:
            yield _problem(measured, "is of a task that the record does not list")
            continue
        intact = table.get((measured.task, None, None, measured.language))
        wrong = _impossible(task, measured) or _other_text(task, measured, intact) or _idle(record, measured, intact)
        if wrong:
            yield _problem(measured, wrong)
    yield from _cells(record)
    yield from _text(record)


def _problem(measured: Measurement, what: str) -> Problem:
    draw = "" if measured.control is None else f", draw {measured.control}"
    cell = f"{measured.task} of {shown(measured.target or 'the intact model')}{draw} on {measured.language}"
    return Problem("/files", f"the items of {cell}: {what}")


def _impossible(task: Task, measured: Measurement) -> str:
    """Return which value no measurement gives: a negative NLL, half a token, an accuracy other than 0 and 1."""
    for name in ("tokens", "bytes"):
        counts = measured.values.get(name)
        if counts is not None and not (np.isfinite(counts) & (counts >= 1) & (counts == np.floor(counts))).all():
            return f"{name!r} should be a whole number, at least 1, in every item"
    nll = measured.values.get("nll")
    if nll is not None and not (nll >= 0).all():
        return "'nll' should be at least 0 in every item"
    if task.metric == BITS_PER_BYTE and "tokens" in measured.values and "bytes" in measured.values:
        mean = float(measured.values["bytes"].sum() / measured.values["tokens"].sum())
        if not 0.5 <= mean <= 64:
            return f"they have {mean:.3g} bytes a token, which no tokenizer gives"
    for name in RIGHT_OR_WRONG & set(measured.values) if task.repeats in {None, 1} else ():
        answers = measured.values[name]
        if not np.isin(answers[np.isfinite(answers)], (0.0, 1.0)).all():
            return f"{name!r} should be 0 or 1 in every item"
    return ""


def _other_text(task: Task, measured: Measurement, intact: Measurement | None) -> str:
    """Return how the text differs from the one that the intact model was measured on.

    Generated text differs from cell to cell: only the items of such a task are the same.
    """
    if intact is None or intact is measured:
        return ""
    places = {name: place for place, name in enumerate(intact.ids)}
    for here, name in enumerate(measured.ids):
        there = places.get(name)
        if there is None:
            return f"{shown(name)} was not measured on the intact model"
        if measured.clusters[here] != intact.clusters[there]:
            return f"{shown(name)} has another cluster than on the intact model"
        for value in ("tokens", "bytes") if task.decoding is None else ():
            one, other = measured.values.get(value), intact.values.get(value)
            if one is not None and other is not None and one[here] != other[there]:
                return f"{shown(name)} has other {value} than on the intact model"
    return ""


def _idle(record: Record, measured: Measurement, intact: Measurement | None) -> str:
    """Return that an edit of some neurons left every likelihood unchanged, which no edit of all tokens does."""
    if intact is None or measured.target is None or record.intervention.scope != "all":
        return ""
    if not _edited(record, measured.target, measured.control):
        return ""
    places = {name: place for place, name in enumerate(intact.ids)}
    rows = [places[name] for name in measured.ids if name in places]
    for value in LIKELIHOODS:
        if value in measured.values and value in intact.values and len(rows) == len(measured.ids):
            return "all likelihoods are those of the intact model" * bool(
                np.array_equal(measured.values[value], intact.values[value][rows])
            )
    return ""


def _edited(record: Record, target: str, control: int | None) -> int:
    if control is None:
        return next((each.neurons for each in record.targets if each.name == target), 0)
    draws = record.controls.draws if record.controls else ()
    return next((draw.neurons for draw in draws if (draw.target, draw.draw) == (target, control)), 0)


def _cells(record: Record) -> Iterator[Problem]:
    """Yield cells whose items or edited activations are not those of their task and language.

    An edit of all tokens reaches each neuron as often as there are tokens, so that a cell's edited activations are
    its neurons times a number that all complete cells of a task and language share. That holds neither for generated
    text, whose length varies, nor for an edit that also switches off another language's neurons.
    """
    intact = {(each.task, each.language): each.items for each in record.baseline}
    sizes = {target.name: target.neurons for target in record.targets}
    reached: dict[tuple[str, str], tuple[int, int]] = {}
    for index, cell in enumerate(record.cells):
        place = cell.task, cell.language
        known = intact.get(place)
        if cell.status != "ok" or known is None:
            continue
        if cell.items_available != known:
            where = f"/cells/{index}/items_available"
            yield Problem(where, f"{cell.items_available} items available, the intact model was measured on {known}")
        if _counted(record, cell, sizes, known):
            times, rest = divmod(int(cell.edited_activations or 0), sizes[cell.target])
            expected = reached.setdefault(place, (times, 0))
            if (times, rest) != expected:
                yield Problem(
                    f"/cells/{index}/edited_activations",
                    f"{cell.edited_activations} of {sizes[cell.target]} neurons; other targets of this task and "
                    f"language have {expected[0]} a neuron",
                )


def _counted(record: Record, cell: CellResult, sizes: Mapping[str, int], items: int) -> bool:
    task = record.task(cell.task)
    reads = task is not None and task.decoding is None and record.intervention.source is None
    complete = reads and record.intervention.scope == "all" and cell.items == items
    return complete and cell.edited_activations is not None and bool(sizes.get(cell.target))


def _text(record: Record) -> Iterator[Problem]:
    """Yield evaluation splits other than the text that the intact model was measured on."""
    splits = {each.language: (i, each) for i, each in enumerate(record.corpus.splits) if each.split == "eval"}
    own = {task.name for task in record.tasks if task.metric == BITS_PER_BYTE and task.lm_eval is None}
    for intact in record.baseline:
        index, split = splits.get(intact.language, (0, None))
        if intact.task not in own:
            continue
        if split is None:
            yield Problem("/corpus/splits", f"no evaluation text of {intact.language}, though it was measured")
            continue
        for name, measured in (("documents", intact.items), ("tokens", intact.tokens), ("bytes", intact.bytes)):
            if measured is not None and getattr(split, name) != measured:
                where = f"/corpus/splits/{index}/{name}"
                yield Problem(where, f"{getattr(split, name)}, the intact model was measured on {measured}")
