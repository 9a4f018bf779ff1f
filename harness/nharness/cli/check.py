"""Check that a plug-in keeps its contract, on what is made for the purpose: what passed, what failed and why.

A detector, intervention, statistic, family of tasks or executor, by its registered name or as module:attribute. Plug-in
authors run the same checks as tests: `nharness.testing.parametrize_with_checks`.
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nharness.cli.output import print_table, say_json
from nharness.cli.plugin_options import add_plugin_options, load_plugins
from nharness.errors import PluginError, UnknownNameError

if TYPE_CHECKING:
    from nharness.plugins import Plugins

KINDS = ("detectors", "interventions", "statistics", "tasks", "executors")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the plug-in to check, and the output format."""
    parser.add_argument("name", help="registered name, or module:attribute")
    parser.add_argument(
        "--kind", choices=KINDS, metavar="KIND", help=f"its kind, where two kinds share the name: {', '.join(KINDS)}"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")
    add_plugin_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Print the sheet; 0 when everything passed, else 1."""
    from nharness.testing import check

    plugins = load_plugins(arguments)
    thing = _found(arguments.name, arguments.kind, plugins)  # what cannot be loaded is a usage error, not a finding
    sheet = check(thing)
    rows = [
        {"check": point.name, "result": "FAILED" if point.problem else "passed", "why": point.problem}
        for point in sheet
    ]
    if arguments.json:
        say_json(rows)
    else:
        print_table(_told_once(rows))
    return int(any(point.problem for point in sheet))


def _told_once(rows: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return the rows, a reason that was told before by the name of the check that told it."""
    first: dict[str, str] = {}
    told = []
    for row in rows:
        by = first.setdefault(row["why"], row["check"])
        told.append({**row, "why": row["why"] if by == row["check"] or not row["why"] else f"as {by!r}"})
    return told


def _found(name: str, kind: str | None, plugins: Plugins) -> Any:
    """Return the thing to check; raises `UnknownNameError` with the nearest name of any kind."""
    known = {each: _registered(each, plugins) for each in (KINDS if kind is None else (kind,))}
    for each, entries in known.items():
        if name in entries:
            return _made(entries[name](), name)
        if ":" in name:
            return _made(plugins.resolve(each, name), name)
    raise UnknownNameError(kind or "plug-in", name, dict.fromkeys(each for names in known.values() for each in names))


def _registered(kind: str, plugins: Plugins) -> Mapping[str, Callable[[], Any]]:
    found = {name: lambda name=name: plugins.resolve(kind, name) for name in plugins.entries(kind)}
    if kind == "statistics":
        from nharness.statistics import CATALOGUE

        found = {**{name: lambda name=name: _accumulator(name) for name in CATALOGUE}, **found}
    return found


def _accumulator(name: str) -> Any:
    from nharness.recording import ACCUMULATORS

    return ACCUMULATORS[name]


def _made(found: Any, name: str) -> Any:
    """Return an instance of a detector or intervention with its default options, and everything else as it is."""
    from nharness.detector import Detector
    from nharness.intervention import Intervention
    from nharness.record.types import require_nameable

    if not (inspect.isclass(found) and issubclass(found, Detector | Intervention)):
        return found
    if not isinstance(getattr(found, "name", None), str):
        raise PluginError(f"{name!r} has no name; expected a class attribute such as name = {name.lower()!r}")
    require_nameable(found, name)
    try:
        return found()
    except TypeError as error:  # an abstract method that was left out
        raise PluginError(f"{name!r} is incomplete:  {error}") from error
