"""The section `structure` of a record: whatever of it follows from the neurons file and the record's own matrix.

Legend: `G` languages, `L` layers, `K` kinds.

Layers themselves are in the record's `neurons.layers`. Over *selected* neurons measures are named plainly; over all
candidates, where the detector tells them, with the end `-all`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nharness.analysis.rounding import known
from nharness.analysis.structure.layers import Concentration, Ends, concentration, per_layer
from nharness.analysis.structure.relations import is_known, kin_distance, mantel, neuron_distances, tree
from nharness.analysis.structure.script_split import script_split
from nharness.analysis.structure.stages import STAGES, StagesFound, stages
from nharness.languages import script
from nharness.neurons import KINDS, Detection
from nharness.record.cells import CellResult, Target, Task, largest_targets
from nharness.record.model import Record
from nharness.record.results import AnalysisSettings
from nharness.record.structure import Border, Stages, Structure, StructureMeasure

ASSIGNED = KINDS[:3]
NEURONS, SHARE, CORRELATION = "share of neurons", "share of the intact value", "correlation"
RULE = (
    "arcsin(sqrt(share of each kind)) per layer cut into runs of at least two layers of least squared residuals; the "
    "simplest of one stage, a straight line, two, three and four stages whose BIC is within 6 of the lowest explains it"
)


@dataclass(frozen=True)
class HarmMatrix:
    """What of a record the script control reads."""

    tasks: Sequence[Task]
    targets: Sequence[Target]
    cells: Sequence[CellResult]
    harmful: bool

    @classmethod
    def of(cls, record: Record) -> HarmMatrix:
        """Return the matrix of a record."""
        return cls(record.tasks, record.targets, record.cells, record.intervention.purpose == "harm")


def with_structure(record: Record, detection: Detection) -> Record:
    """Return the record with the section that its neurons and its matrix give, under its new id.

    What was recorded beside them stays as it is.
    """
    recorded = record.structure.recorded if record.structure else ()
    found = structure_of(detection, HarmMatrix.of(record), record.analysis).model_copy(update={"recorded": recorded})
    return record.model_copy(update={"structure": found}).with_id()


def structure_of(detection: Detection, matrix: HarmMatrix, settings: AnalysisSettings) -> Structure:
    """Return the section of a detection and of the matrix that was measured with it."""
    measures = [
        *_concentrations(detection, settings),
        *_relations(detection, settings),
        *(each for task in matrix.tasks if matrix.harmful for each in _scripts(task, matrix, settings)),
    ]
    return Structure(measures=tuple(measures), stages=_stages(detection, settings), tree=_tree(detection))


def kind_layers(detection: Detection, *, everything: bool) -> NDArray[np.int64]:
    """Return specific, related and general neurons of each layer [3, L], selected or of all candidates."""
    kinds = detection.kinds(over="all" if everything else "selected")
    return per_layer(np.stack([kinds == KINDS.index(kind) for kind in ASSIGNED]), detection.layer_widths)


def _concentrations(detection: Detection, settings: AnalysisSettings) -> Iterator[StructureMeasure]:
    for everything in (False, True) if detection.candidates is not None else (False,):
        layers = kind_layers(detection, everything=everything)
        suffix = "-all" if everything else ""
        for kind, counts in zip((None, *ASSIGNED), (layers.sum(axis=0), *layers), strict=True):
            ends = concentration(counts, detection.layer_widths, seed=settings.seed)
            for name, found in named_ends(ends).items():
                yield StructureMeasure(
                    name=f"concentration-{name}{suffix}",
                    unit=NEURONS,
                    kind=kind,
                    value=known(found.share, settings.precision),
                    expected=known(found.expected, settings.precision),
                    p=known(found.p, settings.precision),
                )


def named_ends(ends: Ends | None) -> dict[str, Concentration]:
    """Return concentrations by the names that measures have; nothing where there is none."""
    return {} if ends is None else {"first": ends.first, "last": ends.last, "both-ends": ends.both}


def _with_neurons(detection: Detection) -> list[int]:
    return np.flatnonzero(detection.membership.any(axis=1)).tolist()


def _tree(detection: Detection) -> str | None:
    rows = _with_neurons(detection)
    if len(rows) < 2:
        return None
    return tree(neuron_distances(detection.membership[rows]), [detection.languages[row] for row in rows])


def _relations(detection: Detection, settings: AnalysisSettings) -> Iterator[StructureMeasure]:
    rows = [row for row in _with_neurons(detection) if is_known(detection.languages[row])]
    tags = [detection.languages[row] for row in rows]
    kin = np.array([[kin_distance(one, other) for other in tags] for one in tags])
    found = mantel(neuron_distances(detection.membership[rows]), kin, tags, seed=settings.seed) if rows else None
    if found is not None:
        yield StructureMeasure(
            name="mantel-kin",
            unit=CORRELATION,
            value=known(found.r, settings.precision),
            expected=0.0,
            p=known(found.p, settings.precision),
        )


def _scripts(task: Task, matrix: HarmMatrix, settings: AnalysisSettings) -> Iterator[StructureMeasure]:
    found = script_split(_harms(task, matrix), [script(tag) for tag in task.languages], seed=settings.seed)
    if found is None:
        return
    values = {"same-script": found.same, "other-script": found.other, "script-difference": found.same - found.other}
    for name, value in values.items():
        yield StructureMeasure(
            name=f"{name}:{task.name}"[:100],
            unit=SHARE,
            value=known(value, settings.precision),
            expected=0.0 if name == "script-difference" else None,
            p=None if name != "script-difference" or found.p is None else known(found.p, settings.precision),
        )


def _harms(task: Task, matrix: HarmMatrix) -> NDArray[np.float64]:
    """Return the harm of every language's largest target [G, G] as a share of the intact value, NaN for no cell."""
    row = {tag: place for place, tag in enumerate(task.languages)}
    chosen = largest_targets(matrix.targets)
    own = {target.name: target.language for target in matrix.targets if target.name in chosen and target.language}
    sign = 1.0 if task.direction == "lower" else -1.0
    harm = np.full((len(row), len(row)), np.nan)
    for cell in matrix.cells:
        language = own.get(cell.target)
        if cell.task == task.name and language in row and cell.change is not None and cell.baseline:
            harm[row[language], row[cell.language]] = sign * cell.change / abs(cell.baseline)
    return harm


def _stages(detection: Detection, settings: AnalysisSettings) -> Stages | None:
    layers = kind_layers(detection, everything=True)
    found = stages(layers, detection.layer_widths, seed=settings.seed)
    if found is None:
        return None
    return Stages(
        found=found.found,
        names=STAGES if found.found else (),
        borders=_borders(found, settings),
        best=found.best,
        rule=RULE,
    )


def _borders(found: StagesFound, settings: AnalysisSettings) -> tuple[Border, ...]:
    return tuple(
        Border(layer=each.layer, interval=each.interval, certainty=known(each.certainty, settings.precision))
        for each in found.borders
    )
