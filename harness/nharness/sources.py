"""Digests of source code: what a content key and a record say of the code that made a number.

A version says what a distribution was released as; a digest says what ran. Text files only, by path and content, so
that the same source has the same digest wherever it is installed.
"""

from __future__ import annotations

import base64
import hashlib
import inspect
import json
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

ENGINE = (
    "ablation",
    "corpora",
    "evaluation",
    "models",
    "recording",
    "run/stages",
    "run/work",
    "statistics",
    "task",
    "detector.py",
    "intervention.py",
    "languages.py",
    "neurons.py",
    "replacing.py",
)
"""The parts of nharness, below its own folder, on which a measured number can depend."""
HERE = Path(__file__).parent
SUFFIXES = frozenset({".py", ".toml", ".yaml", ".json"})


@cache
def engine_digest() -> str:
    """Return the SHA-256 over the source of nharness that can change a measured number."""
    return _digest(HERE, (HERE / part for part in ENGINE))


@cache
def package_digest(name: str) -> str:
    """Return the SHA-256 over the source of an imported top-level package or module; "" for one without files.

    name: of the package, such as `nharness_detectors`. A package that is a folder counts whole, a module by its file.
    """
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if file is None:
        return ""
    path = Path(file)
    if path.name == "__init__.py":
        return _digest(path.parent, [path.parent])
    return _digest(path.parent, [path])


def source_digest(thing: Any) -> str:
    """Return the SHA-256 over the source that an object of a plug-in comes from; "" where it has none (typed in).

    thing: a class, a function or an instance. The whole top-level package counts: what it imports from its own package
    can change what it does; of nharness itself, what a measured number can depend on.
    """
    described = thing if inspect.isclass(thing) or inspect.isroutine(thing) else type(thing)
    package = str(getattr(described, "__module__", "")).partition(".")[0]
    return engine_digest() if package == HERE.name else package_digest(package)


@cache
def released_digests() -> Mapping[str, frozenset[str]]:
    """Return, by version, the digests of the packages that nharness was released with; a version without is none."""
    found: dict[str, list[str]] = json.loads((HERE / "releases.json").read_text(encoding="utf-8"))
    return {version: frozenset(digests) for version, digests in found.items()}


@cache
def is_modified(name: str) -> bool | None:
    """Tell whether a distribution's Python files differ from those it was installed with.

    None where that is not known: it is not installed, or from a working copy, which lists no files of its own.
    """
    try:
        listed = distribution(name).files or ()
    except PackageNotFoundError:
        return None
    kept = [each for each in listed if each.suffix == ".py" and each.hash is not None and each.hash.mode == "sha256"]
    if not any(len(each.parts) > 1 for each in kept):
        return None
    return any(_hash(Path(str(each.locate()))) != each.hash.value for each in kept if each.hash is not None)


def _hash(path: Path) -> str:
    """Return a file's SHA-256 as an installer writes it: base64 for addresses, without padding; "" for no file."""
    if not path.is_file():
        return ""
    return base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).decode().rstrip("=")


def _digest(root: Path, places: Iterable[Path]) -> str:
    sha = hashlib.sha256()
    for path in sorted({file for place in places for file in _files(place)}):
        sha.update(f"{path.relative_to(root).as_posix()}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return sha.hexdigest()


def _files(place: Path) -> Iterable[Path]:
    if place.is_file():
        return [place]
    found = (path for path in place.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    return [path for path in found if "__pycache__" not in path.parts]
