"""The options by which every command chooses its plug-ins, as pytest has them."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from nharness.cli.output import warn
from nharness.plugins import Plugins


def add_plugin_options(parser: argparse.ArgumentParser) -> None:
    """Add `-p` and `--strict-plugins`."""
    group = parser.add_argument_group("plug-ins")
    group.add_argument(
        "-p",
        dest="plugins",
        action="append",
        default=[],
        metavar="NAME",
        help="load a plug-in module too; no:NAME blocks one before it is imported",
    )
    group.add_argument("--strict-plugins", action="store_true", help="stop when a plug-in fails instead of going on")


def load_plugins(arguments: argparse.Namespace) -> Plugins:
    """Return the plug-ins that the command line and `NHARNESS_DISABLE_PLUGIN_AUTOLOAD` leave.

    `my_module:TopMean` and `-p my_module` may lie in the working directory, which stands last on the import path.
    """
    here = str(Path.cwd())
    if not {"", here} & set(sys.path):
        sys.path.append(here)
    blocked = [name.removeprefix("no:") for name in arguments.plugins if name.startswith("no:")]
    found = Plugins(
        extra=[name for name in arguments.plugins if not name.startswith("no:")],
        block=blocked,
        autoload=not os.environ.get("NHARNESS_DISABLE_PLUGIN_AUTOLOAD"),
        strict=arguments.strict_plugins,
        tell=warn,
    )
    for status in found.statuses:
        if status.error:
            failed = " failed and is left out" if status.status == "failed" else ""
            warn(f"plug-in {status.name}{failed}: {status.error}")
    return found
