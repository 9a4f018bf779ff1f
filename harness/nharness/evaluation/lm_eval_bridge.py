"""lm-eval's tasks on a model object as it stands, edited or not, item by item.

The loaded model is handed to lm-eval's own HFLM; nothing is reloaded and no response is ever cached, so a result
belongs to the model's state while it was made and to no other.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import torch
from jinja2 import TemplateError
from lm_eval import evaluator

from nharness.errors import CellError, NharnessError, UnknownNameError, UsageError
from nharness.evaluation.decoding import greedy, samples
from nharness.evaluation.few_shot import FewShot
from nharness.evaluation.items import Item, mean
from nharness.evaluation.lm_eval_items import item_of
from nharness.evaluation.lm_eval_model import ObservedModel
from nharness.evaluation.quiet import quiet
from nharness.evaluation.task_loading import TaskLoader
from nharness.models.context import longest_context
from nharness.models.streams import Streams
from nharness.task import FEWSHOT_SEED, TaskSpec

CPU_BATCH, DEVICE_BATCH = 8, 32
SOFTMAX_DTYPE = "float32"  # lm-eval's default is the model's own, in which bfloat16 likelihoods are good to a tenth


@dataclass(frozen=True)
class LmEvalOptions:
    """How lm-eval runs a task; all of it is recorded.

    batch_size: requests of one forward pass; None takes 8 on a CPU, 32 elsewhere. max_length: tokens of context, None
    for the model's. chat_template: wrap prompts in the tokenizer's template, few-shot examples as turns of their own.
    seed: of the choice of few-shot examples.
    """

    batch_size: int | None = None
    max_length: int | None = None
    chat_template: bool = False
    seed: int = FEWSHOT_SEED


@dataclass(frozen=True)
class TaskResult:
    """A task's items and how they came about.

    score: mean of the metric over items. tokens: forward tokens that it took, padding included. settings: everything
    that can change the numbers, as JSON values. notes: what lm-eval warned of, and what else bears on the numbers.
    """

    items: tuple[Item, ...]
    metric: str
    score: float
    tokens: int
    settings: Mapping[str, Any]
    notes: tuple[str, ...] = ()


class LmEvalBridge:
    """Runs lm-eval tasks on one loaded model; made once, used inside and outside edits.

    streams: of the model, for texts that are read under edits; None makes some where they are of use.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        options: LmEvalOptions | None = None,
        loader: TaskLoader | None = None,
        streams: Streams | None = None,
    ) -> None:
        self.options = options or LmEvalOptions()
        self.loader = loader or TaskLoader()
        self._few_shot = FewShot(self.options.seed)
        if self.options.chat_template and not getattr(tokenizer, "chat_template", None):
            raise UsageError("a chat template was requested, but the tokenizer has none")
        size = self.options.batch_size or (CPU_BATCH if model.device.type == "cpu" else DEVICE_BATCH)
        with quiet():
            self._lm = ObservedModel(
                pretrained=model,
                tokenizer=copy.deepcopy(tokenizer),
                batch_size=size,
                max_length=self.options.max_length or longest_context(model),
                softmax_dtype=SOFTMAX_DTYPE,
                streams=streams,
            )

    @property
    def batch_size(self) -> int:
        """Requests of one forward pass."""
        return int(self._lm.batch_size)

    def halve(self) -> bool:
        """Halve the requests of one forward pass from here on; False when there is only one."""
        return self._lm.halve()

    def scorer(self, output_type: str | None) -> str:
        """Return who scores a task of that type: "nharness"; "lm-eval" where the model writes or does not allow it."""
        writes = output_type == "generate_until"
        return "lm-eval" if writes or self._lm.own is None else "nharness"

    def measure(self, spec: TaskSpec, *, ids: Sequence[str] | None = None) -> TaskResult:
        """Return the task's items, in its order; with `ids`, those of an earlier result alone.

        Raises `UnknownNameError` or `CellError` when the task cannot be loaded, lacks the metric or filter, or when
        the model's likelihoods are not finite.
        """
        tasks = self.loader.load(spec)
        notes = self._prepare(spec, tasks)
        samples = None if ids is None else _positions(spec, tasks, ids)
        chosen = tasks if samples is None else {name: tasks[name] for name in samples}
        self._lm.start()
        try:
            with quiet() as heard, ExitStack() as drawn:
                for task in chosen.values():
                    drawn.enter_context(self._few_shot.drawn_by_item(task))
                found = evaluator.evaluate(
                    self._lm,
                    {"tasks": chosen, "groups": {}, "group_map": {}},
                    bootstrap_iters=0,
                    log_samples=True,
                    limit=None if samples else spec.limit,
                    samples=samples,
                    cache_requests=False,
                    apply_chat_template=self.options.chat_template,
                    fewshot_as_multiturn=self.options.chat_template,
                )
        except NharnessError:
            raise
        except (ValueError, KeyError, TypeError, IndexError, AssertionError, RuntimeError, TemplateError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            reason = " ".join(str(error).split())[:200]
            raise CellError(f"task {spec.id}: lm-eval failed ({type(error).__name__}: {reason})") from error
        cut = {(name, samples[name][place] if samples else place) for name, place in self._lm.cut}
        return self._result(
            spec, tasks, found["samples"], cut=cut, notes=[*notes, *(f"lm-eval: {text}" for text in heard)]
        )

    def _prepare(self, spec: TaskSpec, tasks: Mapping[str, Any]) -> list[str]:
        """Set what must be the same at every evaluation, few-shot examples and decoding; return what is to be said."""
        notes = []
        for name, task in tasks.items():
            if spec.num_fewshot is not None:
                task.set_config(key="num_fewshot", value=spec.num_fewshot)
            shots = task.config.num_fewshot or 0
            pool = self._few_shot.pool(task) if shots else None
            if pool is not None and len(pool) < shots:
                have = f"and there are {len(pool)}" if pool else "and no split has any"
                raise CellError(f"task {spec.id}: {shots} few-shot examples were requested, {have}")
            asked = task.config.generation_kwargs
            if asked and samples(asked):
                notes.append(f"{name} asks for sampled text; it is decoded greedily, like everything here")
            if asked:
                task.set_config(key="generation_kwargs", value=greedy(asked))
        return notes

    def _result(
        self,
        spec: TaskSpec,
        tasks: Mapping[str, Any],
        samples: Mapping[str, Any],
        *,
        cut: Collection[tuple[str, int]],
        notes: Sequence[str],
    ) -> TaskResult:
        answer_filter = _filter(spec, samples)
        items = tuple(
            item_of(name if len(tasks) > 1 else "", sample, truncated=(name, sample["doc_id"]) in cut)
            for name, rows in samples.items()
            for sample in rows
            if sample["filter"] == answer_filter
        )
        metric = spec.metric or str(next(row for rows in samples.values() for row in rows)["metrics"][0])
        if not any(metric in item.values for item in items):
            raise UnknownNameError(f"metric of task {spec.id}", metric, {key for item in items for key in item.values})
        if cut:
            long = f"longer than the context of {self._lm.max_length} tokens"
            notes = [*notes, f"{len(cut)} of {len(items)} prompts of {spec.id} are {long} and lost their beginning"]
        first = next(iter(tasks.values()))
        settings = {
            **asdict(self.options),
            "batch_size": self._lm.batch_size,
            "max_length": self._lm.max_length,
            "softmax_dtype": SOFTMAX_DTYPE,
            "scorer": self.scorer(first.OUTPUT_TYPE),
            "lm_eval": version("lm_eval"),
            "tasks": {name: task.VERSION for name, task in tasks.items()},
            "num_fewshot": first.config.num_fewshot or 0,
            "limit": spec.limit,
            "filter": answer_filter,
        }
        return TaskResult(items, metric, mean(items, metric), self._lm.tokens, settings, tuple(notes))


def _positions(spec: TaskSpec, tasks: Mapping[str, Any], ids: Sequence[str]) -> dict[str, list[int]]:
    """Return item ids as ascending positions, by the tasks that have any; `UnknownNameError` for what is no item's."""
    chosen: dict[str, list[int]] = {name: [] for name in tasks}
    for text in ids:
        task, _, place = text.rpartition("/")
        name = task or next(iter(tasks))
        if name not in chosen or not place.isdigit() or int(place) >= len(tasks[name].eval_docs):
            raise UnknownNameError(f"item of task {spec.id}", text, ())
        chosen[name].append(int(place))
    return {name: sorted(set(places)) for name, places in chosen.items() if places}


def _filter(spec: TaskSpec, samples: Mapping[str, Any]) -> str:
    filters = {row["filter"] for rows in samples.values() for row in rows}
    if spec.metric_filter in filters:
        return spec.metric_filter
    if len(filters) == 1:
        return str(filters.pop())
    raise UnknownNameError(f"answer filter of task {spec.id}", spec.metric_filter, filters)
