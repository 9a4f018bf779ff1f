"""Build lm-eval tasks by name, without reading its whole index where a folder of it will do.

Indexing all of lm-eval takes seconds, one folder milliseconds. A name is looked for in the specification's own
folder, then in the user's, then in the folders of lm-eval that the name begins like, then in the whole index.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from lm_eval import tasks as lm_eval_tasks
from lm_eval.api import metrics, registry
from lm_eval.tasks import TaskManager

from nharness.errors import CellError, UnknownNameError, UsageError
from nharness.evaluation.local_files import served_from
from nharness.evaluation.quiet import quiet
from nharness.evaluation.sentence_scores import SENTENCE_SCORES
from nharness.task import TaskSpec

SHIPPED = Path(lm_eval_tasks.__file__).parent


class TaskLoader:
    """Loads each task once and keeps it, data included.

    include_path: the user's folders of YAML. dataset_dir: folder to serve data from instead of the hub. columns: what
    the fields of headerless files are (see `local_files`); it goes before a family's own.
    """

    def __init__(
        self,
        *,
        include_path: Sequence[str] = (),
        dataset_dir: str | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> None:
        self._include = tuple(include_path)
        self._folder = None if dataset_dir is None else Path(dataset_dir)
        self._columns = columns or {}
        self._loaded: dict[tuple[str, str], dict[str, Any]] = {}

    def load(self, spec: TaskSpec) -> dict[str, Any]:
        """Return lm-eval's tasks by name: one, or the leaves of a group or tag.

        Raises `UnknownNameError` for a name that lm-eval and the include paths lack, `CellError` when the task or its
        data cannot be loaded.
        """
        key = (spec.include_path, spec.lm_eval_task)
        if key not in self._loaded:
            own = self._folder is not None and not spec.include_path
            columns = dict(self._columns) or dict(spec.columns)
            served = served_from(self._folder, columns) if own and self._folder is not None else nullcontext()
            with quiet(), served:
                self._loaded[key] = self._build(spec)
        return self._loaded[key]

    def settle(self, spec: TaskSpec) -> TaskSpec:
        """Return a task that was asked for by name with what its YAML says: the metric, its direction, the filter.

        The metric is the first that is a mean over items. Raises `UsageError` for a task that reports none, and
        `UnknownNameError` as `load` does.
        """
        with quiet():
            config = _first_config(spec.lm_eval_task, self._manager(spec))
        listed = config.get("metric_list") or [
            {"metric": name} for name in registry.DEFAULT_METRIC_REGISTRY.get(str(config.get("output_type")), ())
        ]
        for entry in listed:
            name = str(entry["metric"])
            if name in SENTENCE_SCORES or entry.get("aggregation", _default_aggregation(name)) == "mean":
                higher = bool(entry.get("higher_is_better", registry.HIGHER_IS_BETTER_REGISTRY.get(name, True)))
                answer_filter = str((config.get("filter_list") or [{"name": "none"}])[0]["name"])
                return replace(spec, metric=name, higher_is_better=higher, metric_filter=answer_filter)
        names = ", ".join(str(entry["metric"]) for entry in listed) or "none that its YAML tells of"
        raise UsageError(
            f"task {spec.lm_eval_task!r} has no metric that is a mean over items, which effects are paired by; its "
            f"metrics are: {names}"
        )

    def _build(self, spec: TaskSpec) -> dict[str, Any]:
        manager = self._manager(spec)
        try:
            return dict(manager.load(spec.lm_eval_task)["tasks"])
        except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
            reason = " ".join(str(error).split())[:200]
            raise CellError(
                f"task {spec.id}: lm-eval cannot load {spec.lm_eval_task!r} ({type(error).__name__}: {reason}); "
                "without a network, give its files with --dataset-dir"
            ) from error

    def _manager(self, spec: TaskSpec) -> TaskManager:
        if spec.include_path:
            return _having(spec.lm_eval_task, _index((spec.include_path,), whole=False))
        if self._include and spec.lm_eval_task in _index(self._include, whole=False).all_tasks:
            return _index(self._include, whole=False)
        for folder in _likely_folders(spec.lm_eval_task):
            if spec.lm_eval_task in _index((folder,), whole=False).all_subtasks:
                return _index((folder,), whole=False)
        return _having(spec.lm_eval_task, _index(self._include, whole=True))


def _first_config(name: str, manager: TaskManager) -> Mapping[str, Any]:
    """Return the YAML of a task, or of the first task of a group or tag, includes merged."""
    entry = manager.task_index[name]
    if entry.kind.name == "TAG":
        return _first_config(min(entry.tags), manager)
    config: Mapping[str, Any] = entry.cfg or {}
    if entry.kind.name != "GROUP" or not config.get("task"):
        return config
    first = config["task"] if isinstance(config["task"], str) else config["task"][0]
    if isinstance(first, str):
        return _first_config(first, manager)
    return {**_first_config(str(first["task"]), manager), **first} if first.get("task") in manager.task_index else first


def _default_aggregation(metric: str) -> str:
    found = registry.METRIC_AGGREGATION_REGISTRY.get(metric)
    return "mean" if found in {None, metrics.mean} else "another"


def _having(name: str, manager: TaskManager) -> TaskManager:
    if name not in manager.all_tasks:
        raise UnknownNameError("lm-eval task", name, manager.all_tasks)
    return manager


def _likely_folders(name: str) -> Iterator[str]:
    """Yield lm-eval's folders, the nearest first, whose name the task's begins with, or the other way round."""
    first = name.partition("_")[0]
    folders = [path.name for path in SHIPPED.iterdir() if path.is_dir()]
    near = [folder for folder in folders if name.startswith(folder) or folder.startswith(first)]
    yield from (str(SHIPPED / folder) for folder in sorted(near, key=lambda folder: (-len(folder), folder))[:4])


@cache
def _index(folders: tuple[str, ...], *, whole: bool) -> TaskManager:
    return TaskManager(include_path=list(folders) or None, include_defaults=whole)
