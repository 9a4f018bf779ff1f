"""Show what is in stores of products, or remove what is old.

A store is the folder `store` of a run, or the one given with --store. What was removed is made again when it is needed.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nharness.cli.output import print_table, say_json
from nharness.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from nharness.run.store import Store

DAY = 86_400
RUNS = Path("nharness-runs")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the action and the stores."""
    parser.add_argument("action", choices=("show", "prune"), help="show kinds, numbers and sizes, or prune entries")
    parser.add_argument(
        "folders", nargs="*", type=Path, metavar="DIR", help=f"run folders or stores (default: every run in {RUNS})"
    )
    parser.add_argument("--older-than", type=float, metavar="DAYS", help="prune entries older than this")
    parser.add_argument("--kind", action="append", default=[], metavar="KIND", help="only this kind, such as cells")
    parser.add_argument("--json", action="store_true", help="as JSON")


def execute(arguments: argparse.Namespace) -> int:
    """Show or prune; exit code 0."""
    from nharness.run.store import KINDS

    for kind in arguments.kind:
        if kind not in KINDS:
            raise UnknownNameError("kind of entry", kind, KINDS)
    stores = stores_of(arguments.folders)
    if arguments.action == "prune" and arguments.older_than is None:
        raise UsageError("prune needs --older-than DAYS; 0 removes everything")
    rows: list[dict[str, Any]] = []
    for store in stores:
        if arguments.action == "show":
            rows += _rows(store, arguments.kind)
            continue
        number, size = store.prune(older_than=time.time() - DAY * arguments.older_than, kinds=frozenset(arguments.kind))
        rows.append({"store": str(store.folder), "removed": number, "bytes": size})
    if arguments.json:
        say_json(rows)
        return 0
    print_table(rows)
    return 0


def stores_of(folders: list[Path]) -> list[Store]:
    """Return the stores of run folders, or the folders themselves where they are stores, each once.

    Raises `UsageError` for a folder that is neither.
    """
    from nharness.run.results.folder import RunFolder
    from nharness.run.store import KINDS, Store

    found: dict[Path, Store] = {}
    for folder in folders or sorted(path.parent for path in RUNS.glob("**/store") if path.is_dir()):
        kept = RunFolder(folder).store
        if kept.is_dir():
            found.setdefault(kept.resolve(), Store(kept))
        elif any((folder / kind).is_dir() for kind in KINDS):
            found.setdefault(folder.resolve(), Store(folder))
        elif kept.parent != folder:
            raise UsageError(
                f"{folder} keeps its store in {kept}, which does not exist; name the folder where it is now"
            )
        else:
            raise UsageError(f"{folder} holds no store; expected a run folder, or a store with {', '.join(KINDS)}")
    return list(found.values())


def _rows(store: Store, kinds: list[str]) -> list[dict[str, Any]]:
    entries = [entry for entry in store.entries() if not kinds or entry.kind in kinds]
    return [
        {
            "store": str(store.folder),
            "kind": kind,
            "entries": len(chosen),
            "bytes": sum(entry.size for entry in chosen),
            "oldest": time.strftime("%Y-%m-%d", time.localtime(min(entry.modified for entry in chosen))),
        }
        for kind in sorted({entry.kind for entry in entries})
        if (chosen := [entry for entry in entries if entry.kind == kind])
    ]
