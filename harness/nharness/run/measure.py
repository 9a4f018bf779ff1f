"""What a cell measures on the model as it stands: perplexity items, or an lm-eval task's items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch

from nharness.errors import CellError
from nharness.evaluation.items import Item, bits_per_byte
from nharness.evaluation.perplexity import PerplexityEngine
from nharness.evaluation.windows import default_policy
from nharness.models.load import LoadedModel
from nharness.run.texts import LanguageText
from nharness.run.versions import installed
from nharness.spec import RunSpec
from nharness.task import TaskSpec


class Measurer:
    """Measures tasks on one loaded model, edited or not; halves its batches when memory runs out."""

    def __init__(self, loaded: LoadedModel, spec: RunSpec) -> None:
        self._loaded, self._spec = loaded, spec
        asked = spec.model.batch_tokens
        self.engine = PerplexityEngine(
            loaded.model, loaded.tokenizer,
            policy=default_policy(loaded.model.config, loaded.tokenizer, window=spec.model.max_length),
            batch_tokens=None if asked == "auto" else asked,
        )  # fmt: skip

    def describe(self, task: TaskSpec) -> dict[str, Any]:
        """Return everything about a task's measurement that can change a number, the text and the model left out."""
        described: dict[str, Any] = {"task": asdict(task)}
        if task.kind == "perplexity":
            return {**described, "policy": {k: v for k, v in self.engine.provenance.items() if k != "batch_tokens"}}
        return {
            **described,
            "options": self._spec.task_options.model_dump(mode="json"),
            "lm_eval": installed("lm_eval"),
        }

    def measure(self, task: TaskSpec, text: LanguageText | None) -> tuple[Sequence[Item], int]:
        """Return the items of a task and the forward tokens they cost.

        Raises `CellError` when the model's numbers are not finite; out of memory is tried again at half the batch.
        """
        if task.kind == "perplexity" and text is not None:
            return self._perplexity(text), text.tokens
        raise CellError(f"task {task.id} is not measured yet")

    def noise_floor(self, text: LanguageText) -> float:
        """Return by how much the bits per byte of a text change when it is batched otherwise."""
        usual = self._perplexity(text)
        tokens, self.engine.batch_tokens = self.engine.batch_tokens, max(1, self.engine.batch_tokens // 4)
        try:
            other = self._perplexity(text)
        finally:
            self.engine.batch_tokens = tokens
        return abs(bits_per_byte(usual) - bits_per_byte(other))

    def _perplexity(self, text: LanguageText) -> Sequence[Item]:
        while True:
            try:
                return self.engine.score(text.documents)
            except torch.OutOfMemoryError:
                if self.engine.batch_tokens <= self._spec.model.max_length:
                    raise
                self.engine.batch_tokens //= 2
                torch.cuda.empty_cache()
