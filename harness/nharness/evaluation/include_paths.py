"""Folders of lm-eval's YAML: whether they are there, and whether using them would run foreign Python.

lm-eval runs what a YAML file names with `!function` or `class:`, from a file beside it. Where the folder is the user's
own (below the working directory or the home folder, and owned by no other user) that is the user's code. Anywhere else
it is asked for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from nharness.errors import UsageError

RUNS = re.compile(r"!function\s+(\S+)|^class:\s*(\S+)", re.MULTILINE)


def check_include_paths(folders: Sequence[str], *, trusted: bool) -> None:
    """Raise `UsageError` for what is no folder or has no YAML, and for code in one that is not the user's own."""
    for text in folders:
        folder = Path(text).expanduser()
        if not folder.is_dir():
            raise UsageError(f"--include-path {text} is not a folder")
        files = list(yaml_files(folder))
        if not files:
            raise UsageError(f"--include-path {text} has no task (no *.yaml file)")
        if trusted or is_own(folder):
            continue
        for path in files:
            found = RUNS.search(path.read_text(encoding="utf-8", errors="replace"))
            if found is not None:
                raise UsageError(
                    f"--include-path {text} is not below your working directory or your home folder, and lm-eval would "
                    f"run Python from it ({found[1] or found[2]} in {path.name}); read it, then add --trust-tasks"
                )


def yaml_files(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder that lm-eval may read as YAML, includes without a suffix among them."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (path.suffix in {".yaml", ".yml"} or path.name.endswith("_yaml")):
            yield path


def is_own(folder: Path) -> bool:
    """Tell whether a folder is below the working directory or the home folder and belongs to the user."""
    place = folder.resolve()
    homes = (home for home in (Path.cwd().resolve(), Path.home().resolve()) if home != Path(home.anchor))
    if not any(place.is_relative_to(home) for home in homes):
        return False
    return not hasattr(os, "getuid") or place.stat().st_uid == os.getuid()
