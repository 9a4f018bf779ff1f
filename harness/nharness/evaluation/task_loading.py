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

from jinja2 import TemplateError
from lm_eval import tasks as lm_eval_tasks
from lm_eval.tasks import TaskManager

from nharness.errors import CellError, UnknownNameError, UsageError
from nharness.evaluation.local_files import served_from
from nharness.evaluation.quiet import quiet
from nharness.evaluation.task_definitions import Definition, definition_of, metric_of
from nharness.languages import spellings
from nharness.task import CODE, TaskSpec

FAILURES = (OSError, ValueError, LookupError, TypeError, AttributeError, ImportError, TemplateError)
"""What lm-eval raises over a task whose data, template or code is not what it should be."""
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
        self._loaded: dict[tuple[str, str], tuple[dict[str, Any], Mapping[str, Any]]] = {}

    def load(self, spec: TaskSpec) -> dict[str, Any]:
        """Return lm-eval's tasks by name: one, or the leaves of a group or tag.

        Raises `UnknownNameError` for a name that lm-eval and the include paths lack, `CellError` when the task or its
        data cannot be loaded, `UsageError` for a group whose score is no mean over the items of its tasks.
        """
        key = (spec.include_path, spec.lm_eval_task)
        if key not in self._loaded:
            own = self._folder is not None and not spec.include_path
            columns = dict(self._columns) or dict(spec.columns)
            served = served_from(self._folder, columns) if own and self._folder is not None else nullcontext()
            with quiet(), served:
                self._loaded[key] = self._build(spec)
        tasks, groups = self._loaded[key]
        _refuse_other_means(spec, tasks, groups)
        return tasks

    def settle(self, spec: TaskSpec) -> TaskSpec:
        """Return a task that was asked for by name with what its YAML says: the metric, its direction, the filter.

        The metric is the first that is a mean over items. Raises `UsageError` for a task that reports none, and
        `UnknownNameError` as `load` does.
        """
        with quiet():
            spec = replace(spec, lm_eval_task=self._spelled(spec))
            found = metric_of(spec.lm_eval_task, self._manager(spec))
        return replace(
            spec,
            metric=found.name,
            higher_is_better=found.higher_is_better,
            metric_filter=found.answer_filter,
        )

    def definition(self, spec: TaskSpec) -> Definition:
        """Return what the task's YAML says; raises `UnknownNameError` as `load` does."""
        with quiet():
            return definition_of(spec.lm_eval_task, self._manager(spec))

    def has(self, name: str) -> bool:
        """Tell whether one of the include paths has a task, group or tag of that name."""
        with quiet():
            return bool(self._include) and name in _index(self._include, whole=False).all_tasks

    def _spelled(self, spec: TaskSpec) -> str:
        """Return lm-eval's name of a task; `{code}` in it stands for the language as its family spells it.

        Raises `UnknownNameError` where no spelling of the language gives a name that there is.
        """
        if CODE not in spec.lm_eval_task:
            return spec.lm_eval_task
        names = [spec.lm_eval_task.replace(CODE, code) for code in spellings(spec.language)]
        near = next((name for name in names if self._near(replace(spec, lm_eval_task=name)) is not None), None)
        if near is not None:
            return near
        known = _index(self._include, whole=True).all_tasks
        found = next((name for name in names if name in known), None)
        if found is None:
            raise UnknownNameError("lm-eval task", names[0], known)
        return found

    def _build(self, spec: TaskSpec) -> tuple[dict[str, Any], dict[str, Any]]:
        manager = self._manager(spec)
        try:
            found = manager.load(spec.lm_eval_task)
        except FAILURES as error:
            reason = " ".join(str(error).split())[:200]
            raise CellError(
                f"task {spec.id}: lm-eval cannot load {spec.lm_eval_task!r} ({type(error).__name__}: {reason}); "
                "without a network, give its files with --dataset-dir"
            ) from error
        return dict(found["tasks"]), dict(found.get("groups", {}))

    def _manager(self, spec: TaskSpec) -> TaskManager:
        if spec.include_path:
            return _having(spec.lm_eval_task, _index((spec.include_path,), whole=False))
        return self._near(spec) or _having(spec.lm_eval_task, _index(self._include, whole=True))

    def _near(self, spec: TaskSpec) -> TaskManager | None:
        """Return the index of the folder that has a task, if it is the user's or one that the name begins like."""
        if self._include and spec.lm_eval_task in _index(self._include, whole=False).all_tasks:
            return _index(self._include, whole=False)
        for folder in _likely_folders(spec.lm_eval_task):
            if spec.lm_eval_task in _index((folder,), whole=False).all_subtasks:
                return _index((folder,), whole=False)
        return None


def _refuse_other_means(spec: TaskSpec, tasks: Mapping[str, Any], groups: Mapping[str, Any]) -> None:
    """Raise `UsageError` for a group whose score is no mean over the items of its tasks."""
    if not groups:
        return
    counts = [len(getattr(task, "task_docs", task.eval_docs)) for task in tasks.values()]
    sizes = {count if spec.limit is None else min(spec.limit, count) for count in counts}
    for group in groups.values():
        for how in group.aggregate_metric_list or ():
            alike = not how.weight_by_size and len(sizes) > 1
            if how.metric == spec.metric and (alike or callable(how.aggregation)):
                why = "gives its tasks equal weight, however many items each has" if alike else "has a mean of its own"
                some = ", ".join(list(tasks)[:5])
                raise UsageError(
                    f"group {group.name!r} {why} (aggregate_metric_list), and effects are paired over items; name its "
                    f"tasks instead, such as {some}"
                )


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
