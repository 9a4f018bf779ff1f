"""The planning halves of the kinds of task that come with nharness: perplexity, generation, lm-eval's tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from nharness.evaluation.decoding import Decoding
from nharness.evaluation.include_paths import check_include_paths
from nharness.run.versions import installed
from nharness.spec import RunSpec, TaskOptions, public_name
from nharness.task import FEWSHOT_SEED, Role, TaskRunner, TaskSpec, written_in

ITEM_TOKENS = 100
ITEMS = 100


class PerplexityRunner(TaskRunner):
    """Perplexity of the corpus's evaluation documents."""

    measuring = "nharness.run.work.measuring.perplexity:PerplexityMeasuring"
    by_document = True
    reads_only = True

    def with_options(self, task: TaskSpec, options: TaskOptions) -> TaskSpec:
        """Return the task as it is: how much text there is, is an option of the corpus."""
        del options
        return task

    def tokens(self, task: TaskSpec, spec: RunSpec, role: Role) -> int:
        """Return the tokens of the text; for a draw of its sample, for the intact model of both: its noise floor."""
        del task
        text, sample = spec.corpus.eval_tokens, spec.controls.eval_tokens
        return {"intact": text + min(text, sample), "target": text, "control": min(text, sample)}[role]

    def described(self, task: TaskSpec, spec: RunSpec) -> Mapping[str, Any]:
        """Return the text it is measured on."""
        del task
        return {"dataset": f"{public_name(spec.corpus.name)}, split eval", "scorer": "nharness"}


class GenerationRunner(TaskRunner):
    """What the model writes after prompts."""

    measuring = "nharness.run.work.measuring.generation:GenerationMeasuring"

    def prompted_in(self, task: TaskSpec, source: str, tasks: Sequence[TaskSpec]) -> TaskSpec | None:
        """Return the task going on from prompts in `source`, as `nharness.task.written_in`."""
        return written_in(task, source, tasks)

    def tokens(self, task: TaskSpec, spec: RunSpec, role: Role) -> int:
        """Return `ITEM_TOKENS` a prompt."""
        del spec, role
        return ITEM_TOKENS * (task.limit or ITEMS)

    def assumed(self, task: TaskSpec) -> str:
        """Return the number of prompts and their tokens: both depend on the text and the tokenizer."""
        return f"{task.limit or ITEMS} items of {ITEM_TOKENS} tokens"

    def described(self, task: TaskSpec, spec: RunSpec) -> Mapping[str, Any]:
        """Return how is decoded, and the text whose openings are the prompts, if the task has no questions."""
        text = None if task.prompts else f"{public_name(spec.corpus.name)}, split eval"
        return {"dataset": text, "decoding": asdict(Decoding()), "repeats": 1, "scorer": "nharness"}


class LmEvalRunner(TaskRunner):
    """A task of lm-eval's, or in its format."""

    measuring = "nharness.run.work.measuring.lm_eval_tasks:LmEvalMeasuring"

    def settled(self, task: TaskSpec, options: TaskOptions) -> TaskSpec:
        """Return the task with its name in lm-eval and the metric that its YAML says it has."""
        return task if task.metric else self._loader(options).settle(task)

    def tokens(self, task: TaskSpec, spec: RunSpec, role: Role) -> int:
        """Return `ITEM_TOKENS` an item; without a limit, `ITEMS` items."""
        del spec, role
        return ITEM_TOKENS * (task.limit or ITEMS)

    def assumed(self, task: TaskSpec) -> str:
        """Return the number of items and their tokens: their data is not read for a price."""
        return f"{task.limit or ITEMS} items of {ITEM_TOKENS} tokens"

    def includes(self, name: str, options: TaskOptions) -> bool:
        """Tell whether a folder of `--include-path` has a task, group or tag of that name."""
        return bool(options.include_path) and bool(self._loader(options).has(name))

    def check(self, task: TaskSpec, options: TaskOptions) -> None:
        """Load the task; raises `CellError` where its data is not there, `UsageError` as `TaskLoader.load` does."""
        self._loader(options).load(task)

    def fetch(self, task: TaskSpec, options: TaskOptions) -> None:
        """Load the task's data from where it is at home; raises `CellError` when lm-eval cannot."""
        self._loader(options.model_copy(update={"dataset_dir": None})).load(task)

    def described(self, task: TaskSpec, spec: RunSpec) -> Mapping[str, Any]:
        """Return lm-eval's version and what the prompts and the decoding really are, whatever set them."""
        options = spec.task_options
        found = self._loader(options).definition(task)
        shots = found.shots if task.num_fewshot is None else task.num_fewshot
        return {
            "chat_template": options.chat_template,
            "few_shot": shots,
            "few_shot_seed": FEWSHOT_SEED if shots else None,
            "multiturn": options.chat_template if shots else None,
            "decoding": found.decoding,
            "repeats": found.repeats,
            "scorer": "lm-eval",
            "lm_eval": installed("lm_eval"),
        }

    def _loader(self, options: TaskOptions) -> Any:
        from nharness.evaluation.task_loading import TaskLoader  # noqa: PLC0415 - lm-eval takes seconds to import

        check_include_paths(options.include_path, trusted=options.trust_tasks)
        return TaskLoader(include_path=options.include_path, dataset_dir=options.dataset_dir, columns=options.columns)
