"""Put a version of the documentation on the branch gh-pages, beside the others: `python docs/publish.py REF [--push]`.

REF is a tag or a branch. A release `v1.2.3` becomes `1.2.3`, `latest`, and what the site's root leads to; any other tag
`v...` stands under its number alone; a branch becomes `dev`, to which the root leads until there is a release.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PROGRAMS = Path(sys.executable).parent


def main(ref: str, push: Sequence[str]) -> None:
    """Build the site as the working tree has it, and commit it to gh-pages; with `--push`, push that branch."""
    version = ref.removeprefix("v") if re.match(r"v\d", ref) else "dev"
    released = re.fullmatch(r"\d+\.\d+\.\d+", version) is not None
    mike("deploy", "--update-aliases", *push, version, *(["latest"] if released else []))
    known = json.loads(mike("list", "--json"))
    default = "latest" if any("latest" in each["aliases"] for each in known) else "dev"
    if default in {version, *(["latest"] if released else [])}:
        mike("set-default", *push, default)


def mike(*words: str) -> str:
    """Run mike with a command; return what it printed."""
    path = os.pathsep.join([str(PROGRAMS), os.environ.get("PATH", "")])  # mike calls mkdocs by its name
    environment = {**os.environ, "PATH": path, "NO_MKDOCS_2_WARNING": "1"}
    command = [str(PROGRAMS / "mike"), *words]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)  # noqa: S603
    return done.stdout


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
