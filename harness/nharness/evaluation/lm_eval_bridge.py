"""lm-eval's tasks on a model object as it stands, edited or not, item by item.

The loaded model is handed to lm-eval's own HFLM; nothing is reloaded and no response is ever cached, so a result
belongs to the model's state while it was made and to no other.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import torch
from lm_eval import evaluator
from lm_eval.models.huggingface import HFLM

from nharness.errors import CellError, NharnessError, UnknownNameError, UsageError
from nharness.evaluation.items import Item, mean
from nharness.evaluation.quiet import quiet
from nharness.evaluation.sentence_scores import SENTENCE_SCORES
from nharness.evaluation.task_loading import TaskLoader
from nharness.task import TaskSpec

CLUSTER_FIELDS = ("cluster", "link")  # what tells that two questions share a passage
CPU_BATCH, DEVICE_BATCH = 8, 32
FEWSHOT_SEED = 1234
SOFTMAX_DTYPE = "float32"  # lm-eval's default is the model's own, in which bfloat16 likelihoods are good to a tenth


@dataclass(frozen=True)
class LmEvalOptions:
    """How lm-eval runs a task; all of it is recorded.

    batch_size: requests of one forward pass; None takes 8 on a CPU, 32 elsewhere. max_length: tokens of context, None
    for the model's. chat_template: wrap prompts in the tokenizer's template. seed: of the choice of few-shot examples.
    """

    batch_size: int | None = None
    max_length: int | None = None
    chat_template: bool = False
    seed: int = FEWSHOT_SEED


@dataclass(frozen=True)
class TaskResult:
    """A task's items and how they came about.

    score: mean of the metric over items. tokens: forward tokens that it took, padding included. settings: everything
    that can change the numbers, as JSON values.
    """

    items: tuple[Item, ...]
    metric: str
    score: float
    tokens: int
    settings: Mapping[str, Any]


class LmEvalBridge:
    """Runs lm-eval tasks on one loaded model; made once, used inside and outside edits."""

    def __init__(
        self, model: Any, tokenizer: Any, *, options: LmEvalOptions | None = None, loader: TaskLoader | None = None
    ) -> None:
        self.options = options or LmEvalOptions()
        self.loader = loader or TaskLoader()
        if self.options.chat_template and not getattr(tokenizer, "chat_template", None):
            raise UsageError("a chat template was asked for, but the tokenizer has none")
        size = self.options.batch_size or (CPU_BATCH if model.device.type == "cpu" else DEVICE_BATCH)
        with quiet():
            self._lm = _ObservedModel(
                pretrained=model,
                tokenizer=copy.deepcopy(tokenizer),
                batch_size=size,
                max_length=self.options.max_length,
                softmax_dtype=SOFTMAX_DTYPE,
            )

    @property
    def batch_size(self) -> int:
        """Requests of one forward pass; may be set when memory runs out."""
        return int(self._lm.batch_size)

    @batch_size.setter
    def batch_size(self, size: int) -> None:
        self._lm.batch_size_per_gpu = size

    def measure(self, spec: TaskSpec, *, ids: Sequence[str] | None = None) -> TaskResult:
        """Return the task's items, in its order; with `ids`, those of an earlier result alone.

        Raises `UnknownNameError` or `CellError` when the task cannot be loaded, lacks the metric or filter, or when
        the model's likelihoods are not finite.
        """
        tasks = self.loader.load(spec)
        self._prepare(spec, tasks)
        samples = None if ids is None else _positions(spec, tasks, ids)
        self._lm.tokens = 0
        try:
            with quiet():
                found = evaluator.evaluate(
                    self._lm,
                    {"tasks": tasks, "groups": {}, "group_map": {}},
                    bootstrap_iters=0,
                    log_samples=True,
                    limit=None if samples else spec.limit,
                    samples=samples,
                    cache_requests=False,
                    apply_chat_template=self.options.chat_template,
                )
        except NharnessError:
            raise
        except (ValueError, KeyError, TypeError, IndexError, AssertionError, RuntimeError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            reason = " ".join(str(error).split())[:200]
            raise CellError(f"task {spec.id}: lm-eval failed ({type(error).__name__}: {reason})") from error
        return self._result(spec, tasks, found["samples"])

    def _prepare(self, spec: TaskSpec, tasks: Mapping[str, Any]) -> None:
        """Set what must be the same at every evaluation: the number of examples, and which."""
        for task in tasks.values():
            if spec.num_fewshot is not None:
                task.set_config(key="num_fewshot", value=spec.num_fewshot)
            if task.config.num_fewshot and not len(task.fewshot_docs() or ()):
                raise CellError(f"task {spec.id}: no split to take {task.config.num_fewshot} few-shot examples from")
            task.set_fewshot_seed(seed=self.options.seed)

    def _result(self, spec: TaskSpec, tasks: Mapping[str, Any], samples: Mapping[str, Any]) -> TaskResult:
        answer_filter = _filter(spec, samples)
        items = tuple(
            _item(name if len(tasks) > 1 else "", sample)
            for name, rows in samples.items()
            for sample in rows
            if sample["filter"] == answer_filter
        )
        metric = spec.metric or str(next(row for rows in samples.values() for row in rows)["metrics"][0])
        if not any(metric in item.values for item in items):
            raise UnknownNameError(f"metric of task {spec.id}", metric, {key for item in items for key in item.values})
        first = next(iter(tasks.values()))
        settings = {
            **asdict(self.options),
            "batch_size": self._lm.batch_size,
            "max_length": self._lm.max_length,
            "softmax_dtype": SOFTMAX_DTYPE,
            "lm_eval": version("lm_eval"),
            "tasks": {name: task.VERSION for name, task in tasks.items()},
            "num_fewshot": first.config.num_fewshot or 0,
            "limit": spec.limit,
            "filter": answer_filter,
        }
        return TaskResult(items, metric, mean(items, metric), self._lm.tokens, settings)


class _ObservedModel(HFLM):  # type: ignore[misc]  # lm-eval publishes no types
    """HFLM without progress bars, counting the tokens it reads; a likelihood that is not finite stops it."""

    tokens = 0

    def _model_call(self, inps: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        self.tokens += inps.numel()
        return super()._model_call(inps, *args, **kwargs)

    def _model_generate(self, context: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        written = super()._model_generate(context, *args, **kwargs)
        self.tokens += written.numel()
        return written

    def loglikelihood(self, requests: Any, disable_tqdm: bool = True) -> Any:  # noqa: FBT001, FBT002, ARG002 - lm-eval's signature
        found = super().loglikelihood(requests, disable_tqdm=True)
        for likelihood, _ in found:
            if not math.isfinite(likelihood):
                raise CellError(
                    f"a log-likelihood is {likelihood}, expected a finite number; the model's logits overflow: try "
                    "dtype=float32 or a weaker intervention"
                )
        return found

    def generate_until(self, requests: Any, disable_tqdm: bool = True) -> Any:  # noqa: FBT001, FBT002, ARG002 - lm-eval's signature
        return super().generate_until(requests, disable_tqdm=True)


def _positions(spec: TaskSpec, tasks: Mapping[str, Any], ids: Sequence[str]) -> dict[str, list[int]]:
    """Return item ids as ascending positions by task; `UnknownNameError` for an id that is no item's."""
    chosen: dict[str, list[int]] = {name: [] for name in tasks}
    for text in ids:
        task, _, place = text.rpartition("/")
        name = task or next(iter(tasks))
        if name not in chosen or not place.isdigit() or int(place) >= len(tasks[name].eval_docs):
            raise UnknownNameError(f"item of task {spec.id}", text, ())
        chosen[name].append(int(place))
    return {name: sorted(set(places)) for name, places in chosen.items()}


def _filter(spec: TaskSpec, samples: Mapping[str, Any]) -> str:
    filters = {row["filter"] for rows in samples.values() for row in rows}
    if spec.metric_filter in filters:
        return spec.metric_filter
    if len(filters) == 1:
        return str(filters.pop())
    raise UnknownNameError(f"answer filter of task {spec.id}", spec.metric_filter, filters)


def _item(task: str, sample: Mapping[str, Any]) -> Item:
    name = f"{task}/{sample['doc_id']}" if task else str(sample["doc_id"])
    document = sample["doc"]
    cluster = next((str(document[field]) for field in CLUSTER_FIELDS if document.get(field)), name)
    values: dict[str, Any] = {}
    for metric in sample["metrics"]:
        value = sample[metric]
        if isinstance(value, bool | int | float) or hasattr(value, "item"):
            values[metric] = float(value)
        elif metric in SENTENCE_SCORES:
            values[metric] = SENTENCE_SCORES[metric](value)
    return Item(name, cluster, values | _choice_values(sample))


def _choice_values(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return, for a multiple choice, the number of choices and the right one's lead over the best other, in nats.

    Where a task scores mutual information, the second half of the answers are the choices without their context.
    """
    answers, target = sample["filtered_resps"], sample["target"]
    if len(answers) < 2 or not isinstance(target, int) or not all(isinstance(a, list | tuple) for a in answers):
        return {}
    likelihoods = [float(answer[0]) for answer in answers]
    if "acc_mutual_info" in sample["metrics"]:
        half = len(likelihoods) // 2
        likelihoods = [given - alone for given, alone in zip(likelihoods[:half], likelihoods[half:], strict=True)]
    if not 0 <= target < len(likelihoods):
        return {}
    others = [value for place, value in enumerate(likelihoods) if place != target]
    return {"choices": len(likelihoods), "margin": likelihoods[target] - max(others)}
