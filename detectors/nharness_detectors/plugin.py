"""The plug-in module: names, one-line summaries, and where each detector and intervention is; imports none of them."""

from __future__ import annotations

from collections.abc import Sequence

from nharness.hookspecs import Entry, hookimpl

_DETECTORS = (
    ("lape", "lape:Lape", "lowest entropy of activation probabilities over languages (Tang et al. 2024)"),
    ("random", "random:Random", "random neurons matched to a reference detection"),
)
_INTERVENTIONS = (
    ("zero", "zero:Zero", "activation set to 0"),
)


@hookimpl
def nharness_register_detectors() -> Sequence[Entry]:
    """Return every detector of this package."""
    return [Entry(name, summary, f"nharness_detectors.{target}") for name, target, summary in _DETECTORS]


@hookimpl
def nharness_register_interventions() -> Sequence[Entry]:
    """Return every intervention of this package."""
    return [Entry(name, summary, f"nharness_detectors.{target}") for name, target, summary in _INTERVENTIONS]
