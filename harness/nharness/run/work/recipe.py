"""What every worker's recorder must have in common, so that shards recorded in several places add up to one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nharness.corpora import EncodingPolicy
from nharness.recording import Recorder, RecordingOptions, policy_provenance
from nharness.recording.dispatch import Needed
from nharness.run.plan.resolve import plugin_of
from nharness.run.work.worker import Worker
from nharness.spec import RunSpec


@dataclass(frozen=True)
class Recipe:
    """Needs by statistic and site, how batches are cut, what statistics carry along, and settings found beforehand."""

    needs: tuple[Needed, ...]
    options: RecordingOptions
    provenance: Mapping[str, Any]
    settings: Mapping[Needed, Mapping[str, Any]] = field(default_factory=dict)


def encoding_policy(spec: RunSpec) -> EncodingPolicy:
    """Return how a run cuts detection text into rows, and which of their tokens count."""
    return EncodingPolicy(max_length=spec.model.max_length, interest=spec.corpus.tokens_of_interest)


def recipe_for(worker: Worker, needs: Sequence[Needed]) -> Recipe:
    """Return how the worker's run records `needs`, before anything was found out."""
    spec, loaded = worker.resolved.spec, worker.loaded
    policy = encoding_policy(spec)
    options = RecordingOptions(batch_tokens=spec.model.batch_tokens, length=policy.max_length, together=loaded.together)
    return Recipe(
        tuple(needs),
        options,
        {
            "model": loaded.fingerprint,
            "tokenizer": loaded.tokenizer_fingerprint,
            "corpus": worker.resolved.corpus.fingerprint,
            **policy_provenance(loaded.model, policy, spec.corpus.detect_tokens, options),
        },
    )


def recording_key(worker: Worker, recipe: Recipe, identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything that can change what is recorded, the part of the text left out.

    identity: of the model and software where it is recorded.
    """
    resolved = worker.resolved
    return {
        "identity": dict(identity),
        "needs": recipe.needs,
        "policy": dict(recipe.provenance),
        "languages": resolved.languages,
        "plug-ins": {name: plugin_of("statistics", name, resolved.plugins) for name, _ in recipe.needs},
    }


def recorder_of(worker: Worker, recipe: Recipe) -> Recorder:
    """Return a recorder of the worker's model; raises `UnknownNameError` for a statistic that nobody registered."""
    plugins = worker.resolved.plugins
    return Recorder(
        worker.loaded.model,
        worker.neuron_map,
        recipe.needs,
        recipe.options,
        {name: plugins.resolve("statistics", name) for name in plugins.entries("statistics")},
        recipe.provenance,
        dict(recipe.settings),
    )


def settled(recipe: Recipe, recorder: Recorder) -> Recipe:
    """Return the recipe with what the recorder found out: its batch size and the settings of its statistics."""
    options = replace(recipe.options, batch_tokens=recorder.batch_tokens)
    return replace(recipe, options=options, settings=dict(recorder.settings))
