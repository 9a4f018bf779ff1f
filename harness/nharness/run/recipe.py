"""What every worker's recorder must have in common, so that shards recorded in several places add up to one pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nharness.recording import Recorder, RecordingOptions
from nharness.recording.recorder import Needed
from nharness.run.worker import Worker


@dataclass(frozen=True)
class Recipe:
    """Needs by statistic and site, how batches are cut, what statistics carry along, and settings found beforehand."""

    needs: tuple[Needed, ...]
    options: RecordingOptions
    provenance: Mapping[str, Any]
    settings: Mapping[Needed, Mapping[str, Any]] = field(default_factory=dict)


def recorder_of(worker: Worker, recipe: Recipe) -> Recorder:
    """Return a recorder of the worker's model; raises `UnknownNameError` for a statistic that nobody registered."""
    plugins = worker.resolved.plugins
    return Recorder(
        worker.loaded.model, worker.neuron_map, recipe.needs, recipe.options,
        {name: plugins.resolve("statistics", name) for name in plugins.entries("statistics")},
        recipe.provenance, dict(recipe.settings),
    )  # fmt: skip


def settled(recipe: Recipe, recorder: Recorder) -> Recipe:
    """Return the recipe with what the recorder found out: its batch size and the settings of its statistics."""
    options = replace(recipe.options, batch_tokens=recorder.batch_tokens)
    return replace(recipe, options=options, settings=dict(recorder.settings))
