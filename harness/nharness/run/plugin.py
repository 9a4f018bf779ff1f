"""Register the executors that come with nharness, beside the local one that needs no plug-in."""

from __future__ import annotations

from collections.abc import Sequence

from nharness.hookspecs import Entry, hookimpl


@hookimpl
def nharness_register_executors() -> Sequence[Entry]:
    """Register Ray; its package is imported when it is used."""
    return (Entry("ray", "actors on one machine or many (extra ray)", "nharness.run.ray.executor:RayExecutor"),)
