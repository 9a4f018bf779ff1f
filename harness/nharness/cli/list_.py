"""Show what is registered, and by which plug-in; with --json for scripts."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from nharness.cli.output import print_table
from nharness.cli.plugin_options import add_plugin_options, load_plugins
from nharness.errors import UnknownNameError
from nharness.plugins import KINDS, Plugins

WHAT = (*KINDS, "languages", "plugins")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to list and how."""
    parser.add_argument("what", help=", ".join(WHAT))
    parser.add_argument("--json", action="store_true", help="one JSON document")
    add_plugin_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """List and return 0; raises `UnknownNameError` for a kind of thing that is not registered."""
    if arguments.what not in WHAT:
        raise UnknownNameError("list", arguments.what, WHAT)
    rows = _rows(arguments.what, load_plugins(arguments))
    if arguments.json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    else:
        print_table(rows)
    return 0


def _rows(what: str, plugins: Plugins) -> Sequence[Mapping[str, Any]]:
    if what == "plugins":
        return [{**asdict(status), "hooks": list(status.hooks)} for status in plugins.statuses]
    if what == "languages":
        return _languages(plugins)
    registered = plugins.entries(what)
    return [
        {"name": name, "summary": registered[name].entry.summary, "plugin": registered[name].plugin}
        for name in sorted(registered)
    ]


def _languages(plugins: Plugins) -> Sequence[Mapping[str, Any]]:
    """Return every language of the task families, and the families that have it."""
    from nharness.languages import display_name

    families: dict[str, list[str]] = {}
    for name in sorted(plugins.entries("tasks")):
        for tag in plugins.resolve("tasks", name).languages():
            families.setdefault(tag, []).append(name)
    return [{"language": tag, "name": display_name(tag), "tasks": families[tag]} for tag in sorted(families)]
