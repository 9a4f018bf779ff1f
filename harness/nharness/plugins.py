"""Finding plug-ins: the installed ones, the named ones, and why one of them is missing.

`Plugins` is a value: constructed, passed on, tested without the installed ones. A plug-in that fails to import or to
register is listed with its error and left out (`strict=True` stops instead); of two entries of one name the first
stands, and what comes with nharness is first. A life-cycle hook that fails is reported, and the others are called.
Nothing here imports a tensor library.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from nharness.errors import PluginError, UnknownNameError
from nharness.hookspecs import Entry

GROUP = "nharness"
KINDS = (
    "detectors",
    "interventions",
    "statistics",
    "corpora",
    "models",
    "architectures",
    "tasks",
    "task_runners",
    "truths",
    "claims",
    "studies",
    "executors",
)


@dataclass(frozen=True)
class PluginStatus:
    """One plug-in as `nharness list plugins` shows it; status is "active", "blocked" or "failed".

    error: why it failed, or which of its entries are left out because their names are taken.
    """

    name: str
    module: str
    distribution: str
    version: str
    hooks: tuple[str, ...]
    status: str
    error: str = ""


@dataclass(frozen=True)
class Registered:
    """One entry and the plug-in that registered it."""

    entry: Entry
    plugin: str


class Plugins:
    """The plug-ins of one run and everything they registered.

    block: names that are not even imported. extra: modules to load beside the installed ones (`-p NAME`), or names of
    installed ones. autoload: False loads no installed entry point unless it is named. tell: is called with one
    sentence whenever a life-cycle hook fails; `failures` keeps them. Raises `PluginError` for an `extra` that cannot be
    imported or whose names are taken, and, when strict, for any plug-in of which that is so.
    """

    def __init__(
        self,
        *,
        extra: Sequence[str] = (),
        block: Iterable[str] = (),
        autoload: bool = True,
        strict: bool = False,
        tell: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.pm = pluggy.PluginManager("nharness")
        self.pm.add_hookspecs(importlib.import_module("nharness.hookspecs"))
        self.hook = _Hooks(self.pm, tell)
        self._strict = strict
        self._block = frozenset(block)
        self.arguments: Mapping[str, Any] = {  # what makes the same plug-ins in another process
            "extra": tuple(extra),
            "block": tuple(sorted(self._block)),
            "autoload": autoload,
            "strict": strict,
        }
        self.statuses: list[PluginStatus] = []
        self._entries: dict[str, dict[str, Registered]] = {kind: {} for kind in KINDS}
        installed = sorted(entry_points(group=GROUP), key=lambda point: (not _built_in(point), point.name))
        for point in installed if autoload else ():
            self._load(point)
        for name in extra:
            if name in self._block or any(name in {s.name, s.module} for s in self.statuses):
                continue
            asked = next((point for point in installed if point.name == name), None)
            if asked is None and not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*(:[^\W\d]\w*)?", name):
                raise PluginError(f"-p {name!r} is not a module name; expected one such as my_plugin, or no:NAME")
            self._load(asked or EntryPoint(name=name, value=name, group=GROUP))
            self._stop_on_failure(name)

    @property
    def failures(self) -> Sequence[str]:
        """What went wrong in life-cycle hooks, a sentence for each plug-in and hook."""
        return tuple(self.hook.failures.values())

    def entries(self, kind: str) -> Mapping[str, Registered]:
        """Return what was registered of one kind, by name."""
        return self._entries[kind]

    def makers(self, kind: str) -> dict[str, Callable[[], Any]]:
        """Return by name what makes an instance of each class of one kind; it is imported when it is first made."""

        def make(name: str) -> Any:
            return self.resolve(kind, name)()

        return {name: partial(make, name) for name in self._entries[kind]}

    def resolve(self, kind: str, name: str) -> Any:
        """Return the object behind a name, or behind a `module:attribute` path that is not registered.

        Raises `UnknownNameError` with the nearest name, `PluginError` when its value cannot be imported.
        """
        registered = self._entries[kind].get(name)
        if registered is None and ":" not in name:
            raise UnknownNameError(singular(kind), name, self._entries[kind])
        value = registered.entry.value if registered else name
        return import_named(value, what=f"{singular(kind)} {name!r}") if isinstance(value, str) else value

    def _load(self, point: EntryPoint) -> None:
        distribution = point.dist.name if point.dist else ""
        version = point.dist.version if point.dist else ""
        free = not self.pm.has_plugin(point.name)
        name = point.name if free else f"{distribution or point.value}.{point.name}"

        def status(state: str, *, hooks: tuple[str, ...] = (), error: str = "") -> None:
            self.statuses.append(PluginStatus(name, point.value, distribution, version, hooks, state, error))

        if {name, point.name, point.value} & self._block:
            status("blocked")
            return
        try:
            module = point.load()
            self._refuse_unknown_hooks(module)
            self.pm.register(module, name=name)
            refused = self._register(name, module)
        except KeyboardInterrupt:  # somebody's Ctrl-C
            raise
        except BaseException as error:  # the plug-in boundary: third-party code, exit() included, named and reported
            if self.pm.has_plugin(name):
                self.pm.unregister(name=name)
            for entries in self._entries.values():
                for entry in [n for n, r in entries.items() if r.plugin == name]:
                    del entries[entry]
            status("failed", error=told(error))
            if self._strict:
                raise PluginError(f"plug-in {name!r} ({point.value}) failed: {told(error)}") from error
            return
        hooks = tuple(sorted(caller.name for caller in self.pm.get_hookcallers(module) or ()))
        status("active", hooks=hooks, error="; ".join(refused))
        if refused and self._strict:
            raise PluginError(f"plug-in {name!r} ({point.value}): {'; '.join(refused)}")

    def _refuse_unknown_hooks(self, module: object) -> None:
        """Raise `UnknownNameError` for an implementation of a hook that does not exist, which pluggy would ignore."""
        known = [name for name in vars(self.pm.hook) if name.startswith("nharness_")]
        for name in vars(module) if hasattr(module, "__dict__") else ():
            marked = getattr(getattr(module, name), "nharness_impl", None)
            if marked and not marked.get("optionalhook") and (marked.get("specname") or name) not in known:
                raise UnknownNameError("hook", name, known)

    def _register(self, plugin: str, module: object) -> list[str]:
        """Register a module's entries; return a sentence for each whose name is taken, which is left out."""
        callers: dict[str, Callable[[], Any]] = {}
        for kind in KINDS:
            implementation = getattr(module, f"nharness_register_{kind}", None)
            if implementation is not None:
                callers[kind] = implementation
        return [
            problem
            for kind, call in callers.items()
            for entry in call() or ()
            if (problem := self._add(kind, plugin, entry))
        ]

    def _add(self, kind: str, plugin: str, entry: object) -> str:
        if not isinstance(entry, Entry):
            raise PluginError(f"nharness_register_{kind} returned {entry!r}, expected nharness.Entry values")
        other = self._entries[kind].get(entry.name)
        if other is not None:
            return (
                f"its {singular(kind)} {entry.name!r} is left out, since plug-in {other.plugin!r} has one of that name"
            )
        self._entries[kind][entry.name] = Registered(entry, plugin)
        return ""

    def _stop_on_failure(self, name: str) -> None:
        status = self.statuses[-1]
        if status.error:
            what = " failed" if status.status == "failed" else ""
            raise PluginError(f"plug-in {name!r} given with -p{what}: {status.error}")


def import_named(path: str, *, what: str) -> Any:
    """Import `"module:attribute"`; raises `PluginError` naming `what` when it is malformed or absent."""
    module_name, _, attribute = path.partition(":")
    if not module_name or not attribute:
        raise PluginError(f"{what}: {path!r} should read 'package.module:attribute'")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise PluginError(f"{what}: cannot import {path!r} ({' '.join(str(error).split())})") from error
    except KeyboardInterrupt:  # somebody's Ctrl-C
        raise
    except BaseException as error:  # the plug-in boundary: third-party module
        raise PluginError(f"{what}: cannot import {path!r} ({told(error)})") from error


def told(error: BaseException) -> str:
    """Return an error's kind and text in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")


def singular(kind: str) -> str:
    """Return what one thing of a kind is called."""
    return {"corpora": "corpus", "task_runners": "kind of task"}.get(kind, kind.rstrip("s"))


def _built_in(point: EntryPoint) -> bool:
    return point.dist is not None and point.dist.name == GROUP


class _Hooks:
    """Callers of the life-cycle hooks, by name; every plug-in is called apart from the others.

    What one of them raises is kept and told, the first time; a list that it was to modify is as before, and the next is
    called.
    """

    def __init__(self, pm: pluggy.PluginManager, tell: Callable[[str], object]) -> None:
        self._pm, self._tell = pm, tell
        self.failures: dict[tuple[str, str], str] = {}

    def __getattr__(self, hook: str) -> Callable[..., list[Any]]:
        if not hook.startswith(f"{GROUP}_"):
            raise AttributeError(hook)
        return partial(self._call, hook)

    def _call(self, hook: str, **arguments: Any) -> list[Any]:
        answers: list[Any] = []
        caller = getattr(self._pm.hook, hook)
        for plugin in dict.fromkeys(one.plugin_name for one in reversed(caller.get_hookimpls())):
            others = [module for name, module in self._pm.list_name_plugin() if name != plugin]
            lists = {name: list(value) for name, value in arguments.items() if isinstance(value, list)}
            try:
                answers += self._pm.subset_hook_caller(hook, others)(**arguments)
            except KeyboardInterrupt:  # somebody's Ctrl-C
                raise
            except BaseException as error:  # noqa: BLE001 - the plug-in boundary: third-party code, exit() included
                for name, before in lists.items():
                    arguments[name][:] = before
                self._failed(plugin, hook, error)
        return answers

    def _failed(self, plugin: str, hook: str, error: BaseException) -> None:
        if (plugin, hook) not in self.failures:
            self.failures[plugin, hook] = f"plug-in {plugin!r} failed in {hook}: {told(error)}"
            self._tell(self.failures[plugin, hook])
