"""Every hook of nharness, in the order in which a run calls them.

A plug-in is a module (or object) in the entry-point group `nharness`, its functions marked with `nharness.hookimpl`.
Registration hooks are called once, when plug-ins are loaded, and return `Entry` values; they must not import a tensor
library: an entry may name its value as `"package.module:attribute"`, which is imported when it is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from nharness.cells import Cell, CellOutcome
    from nharness.record.model import Record

hookspec = pluggy.HookspecMarker("nharness")
hookimpl = pluggy.HookimplMarker("nharness")


@dataclass(frozen=True)
class Entry:
    """One registered thing: its name, what it is in one line, and the object or `"module:attribute"` that makes it."""

    name: str
    summary: str
    value: Any


@hookspec
def nharness_register_detectors() -> Sequence[Entry]:  # type: ignore[empty-body]
    """Register detectors.

    Called once. Each entry's value is a `nharness.Detector` subclass. `None` or an empty list registers nothing.
    """


@hookspec
def nharness_register_interventions() -> Sequence[Entry]:  # type: ignore[empty-body]
    """Register interventions.

    Called once. Each entry's value is a `nharness.Intervention` subclass. `None` registers nothing.
    """


@hookspec
def nharness_register_statistics() -> Sequence[Entry]:  # type: ignore[empty-body]
    """Register statistics beyond those of `nharness.statistics.CATALOGUE`.

    Called once. Each entry's value is a `nharness.Accumulator` subclass. `None` registers nothing.
    """


@hookspec
def nharness_register_corpora() -> Sequence[Entry]:  # type: ignore[empty-body]
    """Register corpora by name.

    Called once. Each entry's value is a folder (`pathlib.Path`) in the layout of `nharness.corpora`, or a callable
    that returns a `nharness.Corpus`; where it has parameters `folder` and `languages` it is given the folder of
    `--corpus NAME:FOLDER` (else `None`) and the languages that are asked for (else none). `None` registers nothing.
    """


@hookspec
def nharness_register_models() -> Sequence[Entry]:  # type: ignore[empty-body]
    """Register models by a short name.

    Called once. Each entry's value is a folder, or a callable without arguments that returns `ModelSource`: the folder
    or hub name and the model arguments that load it. `None` registers nothing.
    """


@hookspec
def nharness_register_architectures() -> Sequence[Entry]:  # type: ignore[empty-body]
    """Register finders of neurons for architectures whose structure does not give them away.

    Called once. Each entry's value takes a `torch.nn.Module` and returns a `nharness.NeuronMap` or `None` when
    the model is not its kind. The first map wins.
    """


@hookspec
def nharness_register_tasks() -> Sequence[Entry]:  # type: ignore[empty-body]
    """Register task families.

    Called once. Each entry's value is a `nharness.TaskFamily`. `None` registers nothing.
    """


@hookspec
def nharness_register_task_runners() -> Sequence[Entry]:  # type: ignore[empty-body]
    """Register kinds of task: how the tasks of a kind are planned, measured and described.

    Called once. Each entry's name is the `TaskSpec.kind` of its tasks, its value a `nharness.TaskRunner`
    subclass. `None` registers nothing.
    """


@hookspec
def nharness_register_truths() -> Sequence[Entry]:  # type: ignore[empty-body]
    """Register what is known of neurons, for `--ground-truth`.

    Called once. Each entry's value is a file of measured ablations (`pathlib.Path`, format `nharness-ablation/1`),
    which counts for the model it was measured on, or a callable without arguments that returns a
    `nharness.KnownModel`. `None` registers nothing.
    """


@hookspec
def nharness_register_claims() -> Sequence[Entry]:  # type: ignore[empty-body]
    """Register claims, findings of a paper that `--claim NAME` and `nharness claims` hold against records.

    Called once. Each entry's value is a `nharness.NamedClaim` subclass. `None` registers nothing.
    """


@hookspec
def nharness_register_studies() -> Sequence[Entry]:  # type: ignore[empty-body]
    """Register studies that `nharness run --study NAME` knows by name.

    Called once. Each entry's target is a TOML file (`pathlib.Path`), or a folder of them, one a variant:
    `--variant small` is its `small.toml`. `None` registers nothing.
    """


@hookspec
def nharness_register_executors() -> Sequence[Entry]:  # type: ignore[empty-body]
    """Register executors, which decide where cells run.

    Called once. Each entry's value is a `nharness.Executor` subclass. `None` registers nothing.
    """


@hookspec
def nharness_run_started(configuration: Mapping[str, Any]) -> None:
    """Called once, before anything is loaded, with the run's configuration as it will be recorded; returns nothing."""


@hookspec
def nharness_modify_cells(cells: list[Cell]) -> None:
    """Called once, after selection, with the cells in running order.

    Reorder or drop cells in place; adding cells is an error. Baselines that the cells left need are put back, and run
    first. Returns nothing.
    """


@hookspec
def nharness_cell_started(cell: Cell) -> None:
    """Called before every cell that is computed (not for one taken from the store); returns nothing."""


@hookspec
def nharness_cell_finished(cell: Cell, outcome: CellOutcome) -> None:
    """Called after every cell, computed or taken from the store or failed; returns nothing."""


@hookspec
def nharness_record_written(record: Record, path: str) -> None:
    """Called once a record, after it was validated and written to `path`; returns nothing."""


@hookspec
def nharness_summary(records: Sequence[Record]) -> str | None:
    """Called once, at the end of the terminal summary.

    Return text to add to it; `None` adds nothing.
    """
