"""Fetching the sources' packages with the ordinary package clients, into a cache folder.

Nothing is fetched twice: an unpacked package is used as it is.
"""

from __future__ import annotations

import gzip
import shutil
import subprocess
import tarfile
from pathlib import Path


class FetchError(RuntimeError):
    """A package client is missing or failed; the message says which and what to do."""


def debian_package(package: str, cache: Path) -> Path:
    """The folder into which the Debian package is unpacked (`apt-get download`, then `dpkg-deb`)."""
    folder = cache / "debian" / package
    if folder.exists():
        return folder
    downloads = cache / "debian-archives"
    downloads.mkdir(parents=True, exist_ok=True)
    _client("apt-get", f"to download the Debian package {package}")
    _client("dpkg-deb", f"to unpack the Debian package {package}")
    _run(["apt-get", "download", package], downloads)
    archive = max(downloads.glob(f"{package}_*.deb"))
    partial = folder.with_name(f"{package}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    _run(["dpkg-deb", "--extract", str(archive.resolve()), str(partial.resolve())], downloads)
    partial.rename(folder)
    return folder


def npm_package(package: str, version: str, cache: Path) -> Path:
    """The folder into which the npm package is unpacked (`npm pack`; nothing of it is run)."""
    folder = cache / "npm" / f"{package}-{version}"
    if folder.exists():
        return folder / "package"
    downloads = cache / "npm-archives"
    downloads.mkdir(parents=True, exist_ok=True)
    _client("npm", f"to download the npm package {package}")
    _run(["npm", "pack", f"{package}@{version}"], downloads)
    partial = folder.with_name(f"{package}-{version}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    with tarfile.open(downloads / f"{package}-{version}.tgz") as archive:
        archive.extractall(partial, filter="data")
    partial.rename(folder)
    return folder / "package"


def _client(program: str, purpose: str) -> None:
    if shutil.which(program) is None:
        raise FetchError(f"the program `{program}` is needed {purpose} but was not found on PATH")


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - fixed programs, no shell
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        raise FetchError(f"`{' '.join(command)}` failed with exit status {done.returncode}: {reason}")


def debian_version(package: str, cache: Path) -> str:
    """The version of an unpacked Debian package, from its changelog."""
    changelog = debian_package(package, cache) / "usr/share/doc" / package / "changelog.Debian.gz"
    with gzip.open(changelog, "rt", encoding="utf-8") as lines:
        heading = next(lines)
    return heading[heading.index("(") + 1 : heading.index(")")]
