"""What a kind of task is: how its tasks are planned, and what a record says of them.

A kind has two halves. `TaskRunner`, the one here, plans and describes; it knows no model and imports no tensor library.
It names the other, a `nharness.run.work.measuring.Measuring`, which is imported once there is a model to measure.
Ask a task's runner; never compare the names of kinds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from nharness.spec import RunSpec, TaskOptions
from nharness.task.spec import TaskSpec

Role = Literal["intact", "target", "control"]
"""What a cell measures: the model as it is, with a target's units edited, or with those of a random draw."""


class TaskRunner(ABC):
    """Base of the planning half of a kind of task; registered by the name that `TaskSpec.kind` has. It has no state.

    measuring: `"module:attribute"` of the working half.
    by_document: items are the corpus's evaluation documents, one each, with `nll`, `tokens` and `bytes`: control draws
        are judged on a sample of them, and `--precision` may leave some out.
    reads_only: the model writes nothing, so that `--scope generation` would edit nothing.
    """

    measuring: ClassVar[str]
    by_document: ClassVar[bool] = False
    reads_only: ClassVar[bool] = False

    def with_options(self, task: TaskSpec, options: TaskOptions) -> TaskSpec:
        """Return the task with a user's options; raises `OptionError` as `TaskSpec.with_options` does."""
        return task.with_options(num_fewshot=options.num_fewshot, limit=options.limit)

    def settled(self, task: TaskSpec, options: TaskOptions) -> TaskSpec:
        """Return a task that was asked for by name with what its definition says: the metric and its direction."""
        del options
        return task

    def prompted_in(self, task: TaskSpec, source: str, tasks: Sequence[TaskSpec]) -> TaskSpec | None:
        """Return the task with prompts of language `source`; None where that would be asked a second time.

        tasks: all tasks of the run. A kind without prompts, as most are, leaves the task as it is.
        """
        del source, tasks
        return task

    @abstractmethod
    def tokens(self, task: TaskSpec, spec: RunSpec, role: Role) -> int:
        """Return the most forward tokens that one cell of the role costs, as far as `assumed` is true."""

    def assumed(self, task: TaskSpec) -> str:
        """Return what `tokens` takes for granted, such as "100 items of 100 tokens"; "" where it is known."""
        del task
        return ""

    def includes(self, name: str, options: TaskOptions) -> bool:
        """Tell whether a folder that the user named has a task of that name, which no family knows."""
        del name, options
        return False

    def check(self, task: TaskSpec, options: TaskOptions) -> None:
        """Raise an error in one sentence where the task's data is not there; asked before anything is recorded."""
        del task, options

    def fetch(self, task: TaskSpec, options: TaskOptions) -> None:
        """Load the data that the task brings with it, so that it is kept; nothing where it brings none.

        Raises `CellError` when it cannot be loaded.
        """
        del task, options

    @abstractmethod
    def described(self, task: TaskSpec, spec: RunSpec) -> Mapping[str, Any]:
        """Return what a record says of the task beside the specification: fields of `nharness.record.cells.Task`."""
