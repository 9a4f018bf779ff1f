"""Join the run folders of a run's parts, name the cells that none of them has, and write the records.

Parts that were run with --store keep their products there: name that folder too. Nothing is evaluated. With cells
missing the exit code is 1, and the records say which cells they lack.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from nharness.cli import settings
from nharness.cli.plugin_options import add_plugin_options, load_plugins
from nharness.errors import UsageError
from nharness.spec import RunSpec

RUN_DEFAULTS = {
    "expression": "", "last_failed": False, "maxfail": 0, "workers": 1, "executor_args": None, "ray_address": None,
    "shard": None, "log_json": None, "durations": 0,
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the folders to join and where the whole goes."""
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="run folders, or stores, of the parts")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="run folder of the whole")
    parser.add_argument("-q", dest="quiet", action="count", default=0, help="less")
    parser.add_argument("-v", dest="verbose", action="count", default=0, help="one line per cell")
    parser.add_argument("--json", action="store_true", help="the records' paths and summaries as JSON")
    add_plugin_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Copy every part's products into one store and make the records from it."""
    from nharness.cli.cache import stores_of
    from nharness.cli.session import run_and_report
    from nharness.run.store import Store

    spec = common_spec(arguments.folders)
    whole = Store(arguments.out / "store")
    holding = [folder for folder in arguments.folders if not _kept_elsewhere(folder)]
    for store in stores_of(holding) if holding else []:
        store.copy_into(whole)
    for name, value in RUN_DEFAULTS.items():
        setattr(arguments, name, value)
    arguments.store, arguments.executor = None, "nharness.run.executor:StoredExecutor"
    return run_and_report(spec, load_plugins(arguments), arguments, out=arguments.out)


def _kept_elsewhere(folder: Path) -> bool:
    """Tell whether a run folder has no store, because its run was given another one with --store."""
    return (folder / "run.json").is_file() and not (folder / "store").is_dir()


def common_spec(folders: list[Path]) -> RunSpec:
    """Return the one specification of all run folders; raises `UsageError` naming the first that differs."""
    found: tuple[Path, RunSpec] | None = None
    for folder in folders:
        path = folder / "run.json"
        if not path.is_file():
            continue
        try:
            spec = settings.checked(json.loads(path.read_text(encoding="utf-8"))["spec"])
        except (ValueError, KeyError) as error:
            raise UsageError(f"{path}: damaged ({error})") from error
        if found is not None and spec != found[1]:
            raise UsageError(f"{folder} holds a run of another specification than {found[0]}; join parts of one run")
        found = found or (folder, spec)
    if found is None:
        raise UsageError(f"none of {', '.join(map(str, folders))} holds a run (no run.json)")
    return found[1]
