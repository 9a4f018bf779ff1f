"""What a cell measures on the model as it stands: perplexity items, or an lm-eval task's items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from nharness.errors import CellError
from nharness.evaluation.items import Item, bits_per_byte
from nharness.evaluation.perplexity import PerplexityEngine
from nharness.evaluation.windows import default_policy
from nharness.models.load import LoadedModel
from nharness.run.store import folder_digest
from nharness.run.texts import LanguageText
from nharness.run.versions import installed
from nharness.spec import RunSpec
from nharness.task import TaskSpec

if TYPE_CHECKING:
    from nharness.evaluation.lm_eval_bridge import LmEvalBridge


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
        if task.kind == "generation":
            return described
        if task.kind == "perplexity":
            return {**described, "policy": {k: v for k, v in self.engine.provenance.items() if k != "batch_tokens"}}
        return {
            **described,
            "options": self._spec.task_options.model_dump(mode="json", exclude={"include_path", "dataset_dir"}),
            "files": [folder_digest(Path(place)) for place in (task.include_path, *self._folders) if place],
            "lm_eval": installed("lm_eval"),
        }

    @property
    def _folders(self) -> tuple[str, ...]:
        options = self._spec.task_options
        return (*options.include_path, options.dataset_dir or "")

    def measure(self, task: TaskSpec, text: LanguageText | None) -> tuple[Sequence[Item], int]:
        """Return the items of a task and the forward tokens they cost.

        Raises `CellError` when the model's numbers are not finite; out of memory is tried again at half the batch.
        """
        if task.kind == "perplexity" and text is not None:
            return self._perplexity(text), text.tokens
        if task.kind == "lm-eval":
            result = self._lm_eval.measure(task)
            return result.items, result.tokens
        raise CellError(f"task {task.id} has no evaluation text")

    @cached_property
    def _lm_eval(self) -> LmEvalBridge:
        from nharness.evaluation.lm_eval_bridge import (  # noqa: PLC0415 - lm-eval takes seconds to import
            LmEvalBridge,
            LmEvalOptions,
        )
        from nharness.evaluation.task_loading import TaskLoader  # noqa: PLC0415 - likewise

        options, asked = self._spec.task_options, self._spec.model.batch_tokens
        return LmEvalBridge(
            self._loaded.model, self._loaded.tokenizer,
            options=LmEvalOptions(
                batch_size=None if asked == "auto" else max(1, asked // self.engine.policy.window),
                chat_template=options.chat_template,
            ),
            loader=TaskLoader(
                include_path=options.include_path, dataset_dir=options.dataset_dir, columns=options.columns
            ),
        )  # fmt: skip

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
