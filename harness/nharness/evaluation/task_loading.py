"""Build lm-eval tasks by name, without reading its whole index where a folder of it will do.

Indexing all of lm-eval takes seconds, one folder milliseconds. A name is looked for in the specification's own
folder, then in the user's, then in the folders of lm-eval that the name begins like, then in the whole index.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any

from lm_eval import tasks as lm_eval_tasks
from lm_eval.tasks import TaskManager

from nharness.errors import CellError, UnknownNameError
from nharness.evaluation.local_files import served_from
from nharness.evaluation.quiet import quiet
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
