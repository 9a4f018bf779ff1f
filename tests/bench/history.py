"""Ratios of the benches, release by release: `history/VERSION.json` maps the name of a ratio to its value.

A bench hands its ratios to `keep`, which prints each beside the last release's and, where the environment variable
`BENCH_OUT` names a file, adds them to it. Only ratios of what ran side by side are kept: seconds of two machines, or of
one machine on two days, say nothing about each other.

    make bench                                               what changed against the last release
    python tests/bench/history.py 0.2.0 build/bench.json     keep the ratios of a release
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parent / "history"


def versions(folder: Path = FOLDER) -> list[Path]:
    """Return the files of releases, the last one last."""
    return sorted(folder.glob("*.json"), key=lambda path: tuple(map(int, path.stem.split("."))))


def lines(ratios: Mapping[str, float], folder: Path = FOLDER) -> list[str]:
    """Return a line a ratio, with its change against the last release that has it."""
    before: dict[str, tuple[float, str]] = {}
    for path in versions(folder):
        before |= {name: (value, path.stem) for name, value in json.loads(path.read_text()).items()}
    found = []
    for name, value in ratios.items():
        last, version = before.get(name, (None, ""))
        change = "new" if last is None else f"{value / last - 1:+.1%} against {last:.3f} in {version}"
        found.append(f"{name}: {value:.3f} ({change})")
    return found


def keep(ratios: Mapping[str, float]) -> None:
    """Print ratios beside those of the last release; add them to the file that `BENCH_OUT` names."""
    print("\n" + "\n".join(lines(ratios)))
    out = os.environ.get("BENCH_OUT")
    if out:
        path = Path(out)
        path.parent.mkdir(parents=True, exist_ok=True)
        known = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(known | dict(ratios), indent=1, sort_keys=True) + "\n")


def main() -> None:
    """Keep a file of ratios under a release's number."""
    version, source = sys.argv[1:]
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{version}.json").write_text(Path(source).read_text())


if __name__ == "__main__":
    main()
