"""What a cell measures on the model as it stands: perplexity items, or an lm-eval task's items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nharness.errors import CellError
from nharness.evaluation.items import Item, bits_per_byte
from nharness.evaluation.perplexity import PerplexityEngine
from nharness.evaluation.windows import default_policy
from nharness.models.load import LoadedModel
from nharness.run.store import folder_digest
from nharness.run.versions import installed
from nharness.run.work.texts import LanguageText
from nharness.spec import RunSpec
from nharness.task import TaskSpec

if TYPE_CHECKING:
    from nharness.evaluation.lm_eval_bridge import LmEvalBridge


class Measurer:
    """Measures tasks on one loaded model, edited or not, in batches that can be halved when memory runs out."""

    def __init__(self, loaded: LoadedModel, spec: RunSpec) -> None:
        self._loaded, self._spec = loaded, spec
        asked = spec.model.batch_tokens
        self.engine = PerplexityEngine(
            loaded.model,
            loaded.tokenizer,
            policy=default_policy(loaded.model.config, loaded.tokenizer, window=spec.model.max_length),
            batch_tokens=None if asked == "auto" else asked,
        )
        self._notes: dict[str, str] = {}

    def describe(self, task: TaskSpec) -> dict[str, Any]:
        """Return everything about a task's measurement that can change a number, the text and the model left out."""
        described: dict[str, Any] = {"task": {**asdict(task), "include_path": ""}}  # its content counts, as "files"
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

        Raises `CellError` when the model's numbers are not finite, `torch.OutOfMemoryError` when memory runs out.
        """
        if task.kind == "perplexity" and text is not None:
            return self.engine.score(text.documents), text.tokens
        if task.kind == "lm-eval":
            result = self._lm_eval.measure(task)
            return result.items, result.tokens
        raise CellError(f"task {task.id} has no evaluation text")

    def halve(self, kind: str) -> bool:
        """Halve the batch of tasks of a kind, for the rest of the run; False when it cannot be any smaller."""
        if kind == "perplexity":
            before = self.engine.batch_tokens
            after = self.engine.batch_tokens = before // 2 if before > self.engine.policy.window else before
        else:
            before = self._lm_eval.batch_size
            after = self._lm_eval.batch_size = max(1, before // 2)
        unit = "tokens" if kind == "perplexity" else "rows"
        self._notes[kind] = f"memory ran out, so {kind} is measured in batches of {after} {unit}"
        return after < before

    def note(self, kind: str) -> str:
        """Return the size of the batches of a kind, in words, once it was halved; else ""."""
        return self._notes.get(kind, "")

    @cached_property
    def _lm_eval(self) -> LmEvalBridge:
        from nharness.evaluation.lm_eval_bridge import (  # noqa: PLC0415 - lm-eval takes seconds to import
            LmEvalBridge,
            LmEvalOptions,
        )
        from nharness.evaluation.task_loading import TaskLoader  # noqa: PLC0415 - likewise

        options, asked = self._spec.task_options, self._spec.model.batch_tokens
        return LmEvalBridge(
            self._loaded.model,
            self._loaded.tokenizer,
            options=LmEvalOptions(
                batch_size=None if asked == "auto" else max(1, asked // self.engine.policy.window),
                chat_template=options.chat_template,
            ),
            loader=TaskLoader(
                include_path=options.include_path, dataset_dir=options.dataset_dir, columns=options.columns
            ),
        )

    def noise_floor(self, text: LanguageText) -> float:
        """Return by how much the bits per byte of a text change when it is batched otherwise."""
        usual = self.engine.score(text.documents)
        tokens, self.engine.batch_tokens = self.engine.batch_tokens, max(1, self.engine.batch_tokens // 4)
        try:
            other = self.engine.score(text.documents)
        finally:
            self.engine.batch_tokens = tokens
        return abs(bits_per_byte(usual) - bits_per_byte(other))
