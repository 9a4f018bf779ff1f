"""Begin a project of your own: `nharness new detector|intervention|statistic|task|study|claim NAME`.

Each is a whole distribution: pyproject with the entry point, about twenty lines of code (of a study, its TOML file),
a test of its contract, a README and a workflow. It installs, passes its tests, type-checks and runs as it is.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from string import Template

from nharness.atomic import write_bytes
from nharness.cli.output import say
from nharness.cli.templates import FILES
from nharness.errors import OutputError, UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the kind, the name and the place."""
    parser.add_argument("kind", choices=tuple(FILES), help="what to create")
    parser.add_argument("name", help="its name in lower case, such as my-method")
    parser.add_argument(
        "--out", type=Path, default=Path(), metavar="DIR", help="parent of its folder (default: the working directory)"
    )


def execute(arguments: argparse.Namespace) -> int:
    """Write the files and say what to do next."""
    name = arguments.name
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise UsageError(f"name {name!r}; expected lower-case letters, digits and single dashes, such as my-method")
    words = name.split("-")
    values = {
        "name": name,
        "snake": "_".join(words),
        "module": f"nharness_{'_'.join(words)}",
        "Class": "".join(word.capitalize() for word in words),
        "title": " ".join(words),
    }
    files, after = FILES[arguments.kind]
    for path in files:
        target = arguments.out / Template(path).substitute(values)
        if target.exists():
            raise OutputError(f"{target} already exists; choose another name, or another --out")
    for path, text in files.items():
        target = arguments.out / Template(path).substitute(values)
        write_bytes(target, Template(text).substitute(values).encode())
        say(f"written: {target}")
    say(f"\nnext: {Template(after).substitute(values)}")
    return 0
