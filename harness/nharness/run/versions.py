"""Versions of what is installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed(distribution: str) -> str:
    """Return the installed version of a distribution, "none" when it is absent."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "none"
