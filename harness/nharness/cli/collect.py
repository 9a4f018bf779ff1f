"""Join the run folders of a run's parts, name the cells that none of them has, and write the records.

Parts that were run with --store keep their products there; name that folder too if it was moved. Nothing is evaluated,
so that another device will do. With cells missing the exit code is 1; every one is named with the part that should have
it, and the records say which cells they lack.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nharness.cli import options, settings
from nharness.cli.plugin_options import add_plugin_options, load_plugins
from nharness.errors import UsageError
from nharness.record.sources import Study
from nharness.run.plan.parts import Part, read_part
from nharness.run.results.folder import EVALUATED_BY, RECORDED_BY, RunFolder, read_json, read_run
from nharness.spec import RunSpec

RUN_DEFAULTS = {
    "last_failed": False,
    "maxfail": 0,
    "workers": 1,
    "ray_address": None,
    "shard": None,
    "log_json": None,
    "durations": None,
    "store": None,
    "executor": "nharness.run.work.executor:StoredExecutor",
}


@dataclass(frozen=True)
class Joined:
    """What run folders have in common: specification, study, -k, by what they were made; and which parts they are.

    recording: by what the neurons were found, where that was another number type.
    """

    spec: RunSpec
    study: Study | None
    expression: str
    identity: Mapping[str, Any] | None
    recording: Mapping[str, Any] | None
    parts: tuple[Part, ...]


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

    found = common_parts(arguments.folders)
    if arguments.out.resolve() in {folder.resolve() for folder in arguments.folders}:
        raise UsageError(f"--out {arguments.out} is one of the folders to join; choose another")
    whole = Store(arguments.out / "store")
    holding = [folder for folder in arguments.folders if not _is_without(folder)]
    for store in stores_of(holding) if holding else []:
        store.copy_into(whole)
    made_by = {"identity": found.identity, "recording": found.recording}
    how = {**made_by, "parts": found.parts, "expression": found.expression}
    joining = options.changed(arguments, **RUN_DEFAULTS, expression=found.expression, executor_args=how)
    return run_and_report(found.spec, load_plugins(arguments), joining, out=arguments.out, study=found.study)


def _is_without(folder: Path) -> bool:
    """Tell whether the store of a run folder is not where its run kept it."""
    return (folder / "run.json").is_file() and not RunFolder(folder).store.is_dir()


def common_parts(folders: list[Path]) -> Joined:
    """Return what all run folders are parts of; raises `UsageError` naming the first that does not belong with it."""
    found = {folder: _read(folder / "run.json") for folder in folders if (folder / "run.json").is_file()}
    if not found:
        raise UsageError(f"none of {', '.join(map(str, folders))} holds a run (no run.json)")
    first, begun = next(iter(found.items()))
    parts = {folder: read_part(each["part"]["shard"]) for folder, each in found.items() if each.get("part")}
    for folder, each in found.items():
        if each["spec"] != begun["spec"]:
            raise UsageError(f"{folder} holds a run with a different specification from {first}; join parts of one run")
        if _cut(each) != _cut(begun):
            raise UsageError(f"{folder} is divided differently from {first} (--shard, -k); join parts of one run")
    return Joined(
        settings.checked(begun["spec"]),
        Study(**begun["study"]) if begun.get("study") else None,
        (begun.get("part") or {}).get("expression", ""),
        _made_alike(found, EVALUATED_BY),
        _made_alike(found, RECORDED_BY),
        tuple(parts.values()),
    )


def _made_alike(folders: Iterable[Path], name: str) -> Mapping[str, Any] | None:
    """Return who made the numbers of all folders that say so; raises `UsageError` where they were not made alike."""
    identities = {folder: _read(folder / name) for folder in folders if (folder / name).is_file()}
    first = next(iter(identities), None)
    for folder, identity in identities.items():
        for what, value in identities[first or folder].items():
            if identity.get(what) != value:
                raise UsageError(
                    f"{folder} was run with {what} {identity.get(what)}, {first} with {value}; join parts that were "
                    "run alike"
                )
    return identities[first] if first is not None else None


def _cut(begun: Mapping[str, Any]) -> tuple[int, str]:
    """Return into how many parts a run was cut, and the cells that these are of."""
    part = begun.get("part")
    return (read_part(part["shard"]).of, part["expression"]) if part else (1, "")


def _read(path: Path) -> Any:
    found = read_run(path) if path.name == "run.json" else read_json(path)
    if not isinstance(found, dict):
        raise UsageError(f"{path}: damaged (it does not describe a run)")
    return found
