"""What the YAML of an lm-eval task says, read without its data: metric, few-shot number, decoding, repeats."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lm_eval.api import metrics, registry
from lm_eval.tasks import TaskManager

from nharness.errors import UsageError
from nharness.evaluation.decoding import greedy, samples
from nharness.evaluation.sentence_scores import SENTENCE_SCORES

Config = Mapping[str, Any]
UNTIL = "\n\n"  # lm-eval's delimiter of examples, at which an answer ends where a task does not say where


@dataclass(frozen=True)
class Metric:
    """The metric that items are compared by, and the filter that its answers went through."""

    name: str
    higher_is_better: bool
    answer_filter: str


@dataclass(frozen=True)
class Definition:
    """What a task, group or tag says of itself; of several tasks the first that says anything, of numbers the largest.

    shots: few-shot examples that the YAML asks for. decoding: arguments of generation as they are used, None where
    nothing is written. sampled: whether the task asks for tokens chosen at random, which is not done. repeats: answers
    asked for an item.
    """

    shots: int = 0
    decoding: Mapping[str, Any] | None = None
    sampled: bool = False
    repeats: int | None = None
    metrics: tuple[str, ...] = field(default=())


def definition_of(name: str, manager: TaskManager) -> Definition:
    """Return what the YAML of a name says."""
    leaves = list(leaf_configs(name, manager))
    writing = [leaf for leaf in leaves if leaf.get("output_type", "generate_until") == "generate_until"]
    asked = [
        {"until": [leaf.get("fewshot_delimiter", UNTIL)], **(leaf.get("generation_kwargs") or {})} for leaf in writing
    ]
    return Definition(
        shots=max((int(leaf.get("num_fewshot") or 0) for leaf in leaves), default=0),
        decoding=greedy(asked[0]) if asked else None,
        sampled=any(samples(each) for each in asked),
        repeats=max(int(leaf.get("repeats") or 1) for leaf in writing) if writing else None,
    )


def metric_of(name: str, manager: TaskManager) -> Metric:
    """Return the first metric of a task that is a mean over items, or of which every item has a score of its own.

    Raises `UsageError` for a task that reports none.
    """
    config = next(leaf_configs(name, manager), {})
    if config.get("unsafe_code"):
        raise UsageError(f"task {name!r} runs code written by the model, which nharness does not do")
    listed = config.get("metric_list") or [
        {"metric": each} for each in registry.DEFAULT_METRIC_REGISTRY.get(str(config.get("output_type")), ())
    ]
    named = [(_name(entry["metric"]), entry) for entry in listed]
    for metric, entry in named:
        if metric in SENTENCE_SCORES or _is_mean(metric, entry):
            higher = entry.get("higher_is_better", registry.HIGHER_IS_BETTER_REGISTRY.get(metric, True))
            answer_filter = str((config.get("filter_list") or [{"name": "none"}])[0]["name"])
            return Metric(metric, bool(higher), answer_filter)
    told = ", ".join(metric for metric, _ in named) or "none named in its YAML"
    raise UsageError(
        f"task {name!r} has no metric that is a mean over items, as paired effects need; its metrics are: {told}"
    )


def leaf_configs(name: str, manager: TaskManager, above: Config | None = None) -> Iterator[Config]:
    """Yield the YAML of a task, or of every task of a group or tag, includes and a group's own words merged in."""
    entry = manager.task_index[name]
    if entry.kind.name == "TAG":
        for each in sorted(entry.tags):
            yield from leaf_configs(each, manager, above)
        return
    config: Config = {**(entry.cfg or {}), **(above or {})}
    if entry.kind.name != "GROUP" or not config.get("task"):
        yield config
        return
    passed_on = {key: value for key, value in config.items() if key not in GROUP_FIELDS}
    members = entry.cfg["task"] if isinstance(entry.cfg["task"], list) else [entry.cfg["task"]]
    for member in members:
        own = (
            {}
            if isinstance(member, str)
            else {key: value for key, value in member.items() if key not in {"task", "group"}}
        )
        wanted = member if isinstance(member, str) else member.get("task", member.get("group"))
        if wanted in manager.task_index:
            yield from leaf_configs(wanted, manager, {**passed_on, **own})
        else:
            yield {**passed_on, **own}


GROUP_FIELDS = frozenset(("group", "group_alias", "task", "tag", "aggregate_metric_list", "metadata", "version"))


def _name(metric: Any) -> str:
    """Return a metric's name; a function of the task's own is called by its last part."""
    text = getattr(metric, "__name__", str(metric))
    return text.rpartition(".")[2] if os.sep in text else text


def _is_mean(metric: str, entry: Config) -> bool:
    if "aggregation" in entry:
        return bool(entry["aggregation"] == "mean")
    return registry.METRIC_AGGREGATION_REGISTRY.get(metric, None) in {None, metrics.mean}
