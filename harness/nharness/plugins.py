"""Finding plug-ins: the installed ones, the named ones, and why one of them is missing.

`Plugins` is a value: constructed, passed on, tested without the installed ones. A plug-in that fails to import or to
register is listed with its error and left out (`strict=True` stops instead). Nothing here imports a tensor library.
"""

from __future__ import annotations

import importlib
import re
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from nharness.errors import NharnessError, PluginError, UnknownNameError
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
    "executors",
)


@dataclass(frozen=True)
class PluginStatus:
    """One plug-in as `nharness list plugins` shows it; status is "active", "blocked" or "failed"."""

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
    installed ones. autoload: False loads no installed entry point unless it is named. Raises `PluginError` for an
    unimportable `extra`, for two entries of one kind and name, and, when strict, for any plug-in that fails. A hook
    that raises anything but a `NharnessError` becomes a `PluginError` with the plug-in's name.
    """

    def __init__(
        self, *, extra: Sequence[str] = (), block: Iterable[str] = (), autoload: bool = True, strict: bool = False
    ) -> None:
        self.pm = pluggy.PluginManager("nharness")
        self.pm.add_hookspecs(importlib.import_module("nharness.hookspecs"))
        self.pm.add_hookcall_monitoring(lambda *_: None, _blame)
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
        installed = sorted(entry_points(group=GROUP), key=lambda point: point.name)
        for point in installed if autoload else ():
            self._load(point)
        for name in extra:
            if name in self._block or any(name in {s.name, s.module} for s in self.statuses):
                continue
            asked = next((point for point in installed if point.name == name), None)
            if asked is None and not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*(:[^\W\d]\w*)?", name):
                raise PluginError(f"-p {name!r} is no module's name; expected one such as my_plugin, or no:NAME")
            self._load(asked or EntryPoint(name=name, value=name, group=GROUP))
            self._stop_on_failure(name)

    @property
    def hook(self) -> Any:
        """Callers of the life-cycle hooks."""
        return self.pm.hook

    def entries(self, kind: str) -> Mapping[str, Registered]:
        """Return what was registered of one kind, by name."""
        return self._entries[kind]

    def resolve(self, kind: str, name: str) -> Any:
        """Return the object behind a name, or behind a `module:attribute` path that nobody registered.

        Raises `UnknownNameError` with the nearest name, `PluginError` when the target cannot be imported.
        """
        singular = {"corpora": "corpus", "task_runners": "kind of task"}.get(kind, kind.rstrip("s"))
        registered = self._entries[kind].get(name)
        if registered is None and ":" not in name:
            raise UnknownNameError(singular, name, self._entries[kind])
        target = registered.entry.target if registered else name
        return import_target(target, what=f"{singular} {name!r}") if isinstance(target, str) else target

    def _load(self, point: EntryPoint) -> None:
        distribution = point.dist.name if point.dist else ""
        version = point.dist.version if point.dist else ""

        def status(state: str, *, hooks: tuple[str, ...] = (), error: str = "") -> None:
            self.statuses.append(PluginStatus(point.name, point.value, distribution, version, hooks, state, error))

        if point.name in self._block or point.value in self._block:
            status("blocked")
            return
        try:
            module = point.load()
            self._refuse_unknown_hooks(module)
            self.pm.register(module, name=point.name)
            self._register(point.name, module)
        except KeyboardInterrupt:  # somebody's Ctrl-C
            raise
        except BaseException as error:  # the plug-in boundary: anybody's code, exit() in it too, named and reported
            if self.pm.has_plugin(point.name):
                self.pm.unregister(name=point.name)
            for entries in self._entries.values():
                for name in [n for n, r in entries.items() if r.plugin == point.name]:
                    del entries[name]
            status("failed", error=_told(error))
            if self._strict:
                raise PluginError(f"plug-in {point.name!r} ({point.value}) failed: {_told(error)}") from error
            return
        hooks = tuple(sorted(caller.name for caller in self.pm.get_hookcallers(module) or ()))
        status("active", hooks=hooks)

    def _refuse_unknown_hooks(self, module: object) -> None:
        """Raise `UnknownNameError` for an implementation of a hook that does not exist, which pluggy would ignore."""
        known = [name for name in vars(self.pm.hook) if name.startswith("nharness_")]
        for name in vars(module) if hasattr(module, "__dict__") else ():
            marked = getattr(getattr(module, name), "nharness_impl", None)
            if marked and not marked.get("optionalhook") and (marked.get("specname") or name) not in known:
                raise UnknownNameError("hook", name, known)

    def _register(self, plugin: str, module: object) -> None:
        callers: dict[str, Callable[[], Any]] = {}
        for kind in KINDS:
            implementation = getattr(module, f"nharness_register_{kind}", None)
            if implementation is not None:
                callers[kind] = implementation
        for kind, call in callers.items():
            for entry in call() or ():
                self._add(kind, plugin, entry)

    def _add(self, kind: str, plugin: str, entry: object) -> None:
        if not isinstance(entry, Entry):
            raise PluginError(f"nharness_register_{kind} returned {entry!r}, expected nharness.Entry values")
        other = self._entries[kind].get(entry.name)
        if other is not None:
            raise PluginError(f"{kind} {entry.name!r} is already registered by plug-in {other.plugin!r}")
        self._entries[kind][entry.name] = Registered(entry, plugin)

    def _stop_on_failure(self, name: str) -> None:
        status = next(status for status in self.statuses if status.name == name)
        if status.status == "failed":
            raise PluginError(f"plug-in {name!r} given with -p failed: {status.error}")


def import_target(path: str, *, what: str) -> Any:
    """Import `"module:attribute"`; raises `PluginError` naming `what` when it is malformed or absent."""
    module_name, _, attribute = path.partition(":")
    if not module_name or not attribute:
        raise PluginError(f"{what}: target {path!r} should read 'package.module:attribute'")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise PluginError(f"{what}: cannot import {path!r} ({' '.join(str(error).split())})") from error
    except KeyboardInterrupt:  # somebody's Ctrl-C
        raise
    except BaseException as error:  # the plug-in boundary: anybody's module
        raise PluginError(f"{what}: cannot import {path!r} ({_told(error)})") from error


def _told(error: BaseException) -> str:
    """Return an error's kind and text in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")


def _blame(outcome: pluggy.Result[Any], hook: str, implementations: Sequence[pluggy.HookImpl], _: Any) -> None:
    """Turn what a hook raised into an error that names the plug-in."""
    error = outcome.exception
    if not isinstance(error, Exception) or isinstance(error, NharnessError):
        return
    run = {frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)}
    found = [one.plugin_name for one in implementations if getattr(one.function, "__code__", None) in run]
    named = PluginError(f"plug-in {found[0] if found else 'unknown'!r} failed in {hook}: {_told(error)}")
    named.__cause__ = error
    outcome.force_exception(named)
