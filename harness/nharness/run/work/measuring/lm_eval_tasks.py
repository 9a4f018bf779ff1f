"""Cells of lm-eval's tasks: one item a question, the same questions for targets and control draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from nharness.cells import Cell
from nharness.evaluation.items import Item
from nharness.evaluation.lm_eval_bridge import LmEvalBridge, LmEvalOptions
from nharness.evaluation.task_loading import TaskLoader
from nharness.models.dependence import ALONE
from nharness.run.store import folder_digest
from nharness.run.versions import installed
from nharness.run.work.measuring.protocol import Measured, Measuring, Product
from nharness.task import FEWSHOT_SEED, TaskSpec


class LmEvalMeasuring(Measuring):
    """lm-eval's tasks on the loaded model."""

    def key(self, cell: Cell, task: TaskSpec) -> dict[str, Any]:
        """Return the options, the content of the folders that task and data come from, and lm-eval's version."""
        del cell
        options = self.bench.spec.task_options
        folders = (task.include_path, *options.include_path, options.dataset_dir or "")
        return {
            "options": options.model_dump(mode="json", exclude={"include_path", "dataset_dir", "trust_tasks"}),
            "files": [folder_digest(Path(place)) for place in folders if place],
            "few_shot_seed": FEWSHOT_SEED,
            "lm_eval": installed("lm_eval"),
        }

    def make(self, cell: Cell, task: TaskSpec, before: Sequence[Item] | None) -> Product:
        """Return the items of the task."""
        del cell, before
        found = self._bridge.measure(task)
        return Product(Measured(found.items, note="; ".join(found.notes)), found.tokens)

    def described(self, task: TaskSpec) -> Mapping[str, Any]:
        """Return who scores the task."""
        definition = self._bridge.loader.definition(task)
        return {"scorer": self._bridge.scorer("generate_until" if definition.decoding is not None else None)}

    def halve(self) -> bool:
        """Halve the requests of a batch for the rest of the run."""
        smaller = self._bridge.halve()
        self.note = f"memory ran out, so lm-eval is measured in batches of {self._bridge.batch_size} rows"
        return smaller

    @cached_property
    def _bridge(self) -> LmEvalBridge:
        loaded, spec = self.bench.loaded, self.bench.spec
        options, asked = spec.task_options, spec.model.batch_tokens
        window = self.bench.engine.policy.window
        size = None if asked == "auto" else max(1, asked // window)
        return LmEvalBridge(
            loaded.model,
            loaded.tokenizer,
            options=LmEvalOptions(
                batch_size=1 if loaded.batching(window) == ALONE else size,
                chat_template=options.chat_template,
            ),
            loader=TaskLoader(
                include_path=options.include_path, dataset_dir=options.dataset_dir, columns=options.columns
            ),
            streams=self.bench.engine.streams,
        )
