"""Look at what a run stands on: versions, devices, memory, disk, caches, plug-ins, settings, the hub.

Every line says what was found and, where something would break, what to do. Exit codes: 0 nothing would break, 1
something would.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from nharness.cli import settings
from nharness.cli.output import print_table, say, say_json
from nharness.cli.plugin_options import add_plugin_options, load_plugins
from nharness.errors import NharnessError

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

GIGABYTE = 1e9
LEAST_DISK, LEAST_MEMORY = 5 * GIGABYTE, 4 * GIGABYTE
HUB_SECONDS = 3.0


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was looked at: what was found, whether it would break anything, and what to do about it."""

    what: str
    found: str
    verdict: Literal["fine", "note", "BREAKS"] = "fine"
    advice: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the output format."""
    parser.add_argument("--json", action="store_true", help="one JSON document")
    add_plugin_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Print what was found; 0 when nothing would break, else 1."""
    found = list(dict.fromkeys([*_software(), *_machine(), *_plugins(arguments), *_settings(), *_hub()]))
    broken = [each for each in found if each.verdict == "BREAKS"]
    if arguments.json:
        say_json([asdict(each) for each in found])
    else:
        print_table([asdict(each) for each in found])
        say(f"\n{len(broken)} of these would break a run" if broken else "\nnothing here would break a run")
    return int(bool(broken))


def _software() -> Iterator[Diagnosis]:
    yield Diagnosis("python", f"{platform.python_version()} at {sys.executable}")
    yield Diagnosis("nharness", version("nharness"))
    from packaging.requirements import Requirement

    for requirement in map(Requirement, requires("nharness") or ()):
        extra = "" if requirement.marker is None else str(requirement.marker).partition('extra == "')[2].rstrip('"')
        if requirement.name != "nharness":
            yield _distribution(requirement.name, requirement.specifier, extra)


def _distribution(name: str, wanted: SpecifierSet, extra: str) -> Diagnosis:
    """Return whether a distribution is there in a version that will do; extra: by which extra it is asked for."""
    try:
        have = version(name)
    except PackageNotFoundError:
        if extra:
            return Diagnosis(name, "absent", "note", f"only if you need it: pip install 'nharness[{extra}]'")
        return Diagnosis(name, "absent", "BREAKS", f"pip install '{name}{wanted}'")
    if wanted.contains(have, prereleases=True):
        return Diagnosis(name, have)
    return Diagnosis(name, have, "note" if extra else "BREAKS", f"pip install '{name}{wanted}'")


def _machine() -> Iterator[Diagnosis]:
    yield from _devices()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = os.environ.get("OMP_NUM_THREADS")
    crowded = threads is not None and threads.isdigit() and int(threads) > cores
    advice = f"more threads than cores are slow: OMP_NUM_THREADS={cores}" if crowded else ""
    yield Diagnosis("cores", f"{cores}, OMP_NUM_THREADS {threads or 'not set'}", "note" if crowded else "fine", advice)
    memory = _memory()
    if memory is not None:
        few = memory < LEAST_MEMORY
        advice = "take a smaller model, or --model-args dtype=bfloat16" if few else ""
        yield Diagnosis("memory", f"{memory / GIGABYTE:.1f} GB available", "note" if few else "fine", advice)
    from huggingface_hub import constants

    for what, folder in {"working directory": Path.cwd(), "cache of the hub": Path(constants.HF_HUB_CACHE)}.items():
        yield _folder(what, folder)


def _devices() -> Iterator[Diagnosis]:
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Diagnosis("device", f"torch cannot be imported ({error})", "BREAKS", "reinstall torch")
        return
    names = [torch.cuda.get_device_name(place) for place in range(torch.cuda.device_count())]
    if names:
        yield Diagnosis("device", ", ".join(names))
    elif shutil.which("nvidia-smi"):
        yield Diagnosis("device", "a GPU that torch does not see", "note", "install torch for your version of CUDA")
    else:
        yield Diagnosis("device", "cpu" if not torch.backends.mps.is_available() else "mps")


def _memory() -> float | None:
    """Return the bytes that are available; None if unknown."""
    listed = Path("/proc/meminfo")
    if not listed.is_file():
        return None
    found = (line for line in listed.read_text(encoding="utf-8").splitlines() if line.startswith("MemAvailable:"))
    return 1024.0 * int(next(found, "0 0").split()[1])


def _folder(what: str, folder: Path) -> Diagnosis:
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not os.access(there, os.W_OK):
        return Diagnosis(what, f"{folder} cannot be written", "BREAKS", "choose another folder (--out, HF_HOME)")
    free = shutil.disk_usage(there).free
    advice = "models and stores need more: free some, or choose another disk" if free < LEAST_DISK else ""
    return Diagnosis(what, f"{folder}, {free / GIGABYTE:.1f} GB free", "note" if advice else "fine", advice)


def _plugins(arguments: argparse.Namespace) -> Iterator[Diagnosis]:
    try:
        statuses = load_plugins(arguments).statuses
    except NharnessError as error:
        yield Diagnosis("plug-ins", str(error), "BREAKS", "leave it out, or fix it")
        return
    for status in statuses:
        name = f"plug-in {status.name}"
        if status.error:
            advice = f"fix it, or leave it out: -p no:{status.name}"
            yield Diagnosis(name, f"{status.status}: {status.error}", "note", advice)
        else:
            yield Diagnosis(name, f"{status.status}, {status.distribution or status.module} {status.version}".strip())


def _settings() -> Iterator[Diagnosis]:
    try:
        found, file = settings.configured(Path.cwd())
        settings.build_spec(found)
    except NharnessError as error:
        yield Diagnosis("settings", str(error), "BREAKS", "fix the file; nharness run --show-config shows what counts")
    else:
        yield Diagnosis("settings", f"{len(found)} in {file}" if file else "no configuration file, so defaults")


def _hub() -> Iterator[Diagnosis]:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        yield Diagnosis("hub", "HF_HUB_OFFLINE is set: only what is in the cache counts", "note", "nharness prefetch")
        return
    place = urlsplit(constants.ENDPOINT)
    try:
        with socket.create_connection((place.hostname or "", place.port or 443), timeout=HUB_SECONDS):
            yield Diagnosis("hub", f"{place.hostname} answers")
    except OSError as error:
        advice = "babel and the sample text need no network; for others: nharness prefetch, HF_HUB_OFFLINE=1"
        yield Diagnosis("hub", f"{place.hostname} does not answer ({error.strerror or error})", "note", advice)
