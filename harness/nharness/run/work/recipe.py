"""What every worker's recorder must have in common, so that shards recorded in several places add up to one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nharness.corpora import Corpus, EncodingPolicy
from nharness.errors import UsageError
from nharness.plugins import Plugins
from nharness.recording import Recorder, RecordingOptions, policy_provenance
from nharness.recording.dispatch import Needed
from nharness.recording.recorder import Windows
from nharness.run.plan.resolve import plugin_of
from nharness.run.work.executor import Executor, Seen, Work
from nharness.run.work.worker import Worker
from nharness.sources import engine_digest, source_digest
from nharness.spec import RunSpec
from nharness.statistics import Statistics


@dataclass(frozen=True)
class Recipe:
    """Needs by statistic and site, how batches are cut, what statistics carry along, and settings found beforehand."""

    needs: tuple[Needed, ...]
    options: RecordingOptions
    provenance: Mapping[str, Any]
    settings: Mapping[Needed, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class EncodedShard:
    """Some encoded documents of a language, recorded together."""

    language: str
    documents: tuple[Windows, ...]


@dataclass(frozen=True)
class RecordWork(Work[EncodedShard, dict[str, Statistics]]):
    """Record shards of text by one recipe: each shard's statistics by site."""

    in_order = True
    recipe: Recipe

    def begin(self, worker: Worker, seen: Seen) -> Callable[[EncodedShard], Iterator[dict[str, Statistics]]]:
        """Return what records; one recorder for all shards."""
        recorder = recorder_of(worker, self.recipe)

        def recorded(shard: EncodedShard) -> Iterator[dict[str, Statistics]]:
            yield recorder.record_shard(shard.language, shard.documents, seen)

        return recorded

    def tokens(self, piece: EncodedShard) -> int:
        """Return the counted tokens of the shard."""
        return sum(window.counted for document in piece.documents for window in document)

    def lost(self, piece: EncodedShard, reason: str) -> Iterator[dict[str, Statistics]]:
        """Raise `UsageError` naming the language."""
        raise UsageError(f"the statistics of {piece.language!r} are missing: {reason}")


def encoding_policy(spec: RunSpec) -> EncodingPolicy:
    """Return how a run cuts detection text into rows, and which of their tokens count."""
    return EncodingPolicy(max_length=spec.model.max_length, interest=spec.corpus.tokens_of_interest)


def recipe_for(worker: Worker, corpus: Corpus, needs: Sequence[Needed]) -> Recipe:
    """Return how the worker's run records `needs` on a corpus, before anything was found out."""
    spec, loaded = worker.resolved.spec, worker.loaded
    policy = encoding_policy(spec)
    options = RecordingOptions(batch_tokens=spec.model.batch_tokens, length=policy.max_length, together=loaded.together)
    return Recipe(
        tuple(needs),
        options,
        {
            "model": loaded.fingerprint,
            "tokenizer": loaded.tokenizer_fingerprint,
            "corpus": corpus.fingerprint,
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
        "plug-ins": {name: _origin(name, resolved.plugins) for name, _ in recipe.needs},
    }


def _origin(statistic: str, plugins: Plugins) -> tuple[str, str | None, str]:
    """Return where a statistic comes from: module, distribution with version, and the digest of its source."""
    registered = statistic in plugins.entries("statistics")
    digest = source_digest(plugins.resolve("statistics", statistic)) if registered else engine_digest()
    return *plugin_of("statistics", statistic, plugins), digest


def recorded_shards(
    executor: Executor,
    recipe: Recipe,
    shards: Sequence[EncodedShard],
    first: Mapping[str, Sequence[Windows]],
    seen: Seen,
) -> Iterator[dict[str, Statistics]]:
    """Yield the statistics of shards by site, in order, recorded by one recipe.

    first: documents of every language, from which settings that need a look at the text beforehand are made.
    """
    recorder = recorder_of(executor.worker, recipe)
    if recorder.scouts():
        recorder.prepare({tag: list(documents) for tag, documents in first.items()})
    return executor.map(RecordWork(settled(recipe, recorder)), shards, seen)


def recorder_of(worker: Worker, recipe: Recipe) -> Recorder:
    """Return a recorder of the worker's model; raises `UnknownNameError` for a statistic that is not registered."""
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
