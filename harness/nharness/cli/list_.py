"""Show what is registered and by which plug-in; with a name, the options of one detector or intervention.

With --json everything stands in one document, for scripts.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from nharness.cli.output import print_table, say, say_json, tell
from nharness.cli.plugin_options import add_plugin_options, load_plugins
from nharness.errors import UnknownNameError, UsageError
from nharness.plugins import KINDS, Plugins, Registered
from nharness.ranges import expected_at
from nharness.statistics import CATALOGUE

WHAT = (*KINDS, "languages", "plugins")
WITH_OPTIONS = ("detectors", "interventions")
BUILT_IN = "nharness"
ALSO = {
    "detectors": "also: module:attribute, and file:NEURONS.safetensors; options: nharness list detectors NAME",
    "interventions": "also: module:attribute; options: nharness list interventions NAME",
    "corpora": "also: a folder or file of texts, and the name of a dataset on the hub",
    "models": "also: a folder that transformers wrote, a GGUF file, and the name of a model on the hub",
    "tasks": "also: any task of lm-eval, and those of --include-path",
    "studies": "run one: nharness run --study NAME [--variant small]; also: a TOML file of your own",
    "plugins": "-p NAME loads a module too, -p no:NAME blocks one",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to list and how."""
    parser.add_argument("what", help=", ".join(WHAT))
    parser.add_argument("name", nargs="?", help="a detector or intervention, to see its options")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    add_plugin_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """List and return 0; raises `UnknownNameError` for a kind of thing, or a name, that is not registered."""
    if arguments.what not in WHAT:
        raise UnknownNameError("list", arguments.what, WHAT)
    if arguments.name is not None and arguments.what not in WITH_OPTIONS:
        raise UsageError(f"{arguments.what} have no options; a name may follow {' or '.join(WITH_OPTIONS)}")
    plugins = load_plugins(arguments)
    rows = _rows(arguments.what, plugins) if arguments.name is None else _options(arguments, plugins)
    if arguments.json:
        say_json(rows)
        return 0
    if not rows and arguments.name is not None:
        say(f"{arguments.name} has no options")
        return 0
    print_table(rows)
    if arguments.name is None and arguments.what in ALSO:
        tell(ALSO[arguments.what])
    return 0


def _rows(what: str, plugins: Plugins) -> Sequence[Mapping[str, Any]]:
    if what == "plugins":
        return [{**asdict(status), "hooks": list(status.hooks)} for status in plugins.statuses]
    if what == "languages":
        return _languages(plugins)
    built_in: dict[str, str] = {}
    if what == "statistics":
        built_in = {name: entry.summary for name, entry in CATALOGUE.items()}
    if what == "executors":
        built_in = {"local": "this process, one piece of work after the other"}
    rows = [{"name": name, "summary": summary, "plugin": BUILT_IN} for name, summary in built_in.items()]
    return rows + [_row(name, found) for name, found in sorted(plugins.entries(what).items())]


def _row(name: str, found: Registered) -> Mapping[str, Any]:
    return {"name": name, "summary": found.entry.summary, "plugin": found.plugin}


def _options(arguments: argparse.Namespace, plugins: Plugins) -> Sequence[Mapping[str, Any]]:
    """Return a row for every option: its default, what it accepts, what it means."""
    model = plugins.resolve(arguments.what, arguments.name).Options
    return [
        {
            "option": field.alias or name,
            "default": field.get_default(call_default_factory=True),
            "accepts": expected_at(model, field.alias or name),
            "meaning": field.description or "",
        }
        for name, field in model.model_fields.items()
    ]


def _languages(plugins: Plugins) -> Sequence[Mapping[str, Any]]:
    """Return every language of the task families, and the families that have it."""
    from nharness.languages import display_name

    families: dict[str, list[str]] = {}
    for name in sorted(plugins.entries("tasks")):
        for tag in plugins.resolve("tasks", name).languages():
            families.setdefault(tag, []).append(name)
    return [{"language": tag, "name": display_name(tag), "tasks": families[tag]} for tag in sorted(families)]
