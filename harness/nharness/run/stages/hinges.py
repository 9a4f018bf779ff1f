"""Which neuron of a set is likely to do most of its harm: a first-order estimate, to be confirmed by one more cell.

Legend: `M` neurons of the model.

Minus activation times the gradient of the loss is about what zeroing a neuron adds to the loss. It is taken on the
first `TOKENS` tokens of each language's detection text, once for all detectors of a run, and kept in the store. It only
says where to look: what a record holds is measured.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from nharness.errors import ModelError
from nharness.events import Noted
from nharness.recording import Text, encoded_documents
from nharness.run.context import RunContext
from nharness.run.store import content_key
from nharness.run.work.executor import unheard
from nharness.run.work.kept_statistics import KeptStatistics
from nharness.run.work.recipe import (
    EncodedShard,
    encoding_policy,
    recipe_for,
    recorded_shards,
    recording_key,
)

TOKENS = 2_000
NEED = ("attribution", "hidden")
Whose = TypeVar("Whose", bound=Hashable)


def strongest_first(
    context: RunContext, sets: Mapping[Whose, NDArray[np.int64]], language_of: Mapping[Whose, str]
) -> dict[Whose, int]:
    """Return, of every set of flat indices, the one whose loss is estimated to do its language most harm.

    Empty, with a note, for a model without gradients.
    """
    if not sets:
        return {}
    tags = list(dict.fromkeys(language_of[whose] for whose in sets))
    try:
        effects = _effects(context, tags)
    except ModelError as error:
        context.listen(Noted("note", f"no target was measured without its strongest neuron: {error}"))
        return {}
    return {whose: int(flat[np.argmax(effects[language_of[whose]][flat])]) for whose, flat in sets.items()}


def _effects(context: RunContext, tags: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Return by language the estimated change of loss [M] when each neuron is zeroed, in nats over the sample."""
    kept = KeptStatistics(context.store, "blocks", "blocks")
    recipe = recipe_for(context.worker, context.corpus, (NEED,))
    what = recording_key(context.worker, recipe, context.identity)
    keys = {tag: content_key(stage="hinge", language=tag, tokens=TOKENS, **what) for tag in tags}
    stored = {tag: kept.get(key) for tag, key in keys.items()}
    sites = {tag: found.sites for tag, found in stored.items() if found is not None}
    shards = [_sample(context, tag) for tag in tags if tag not in sites]
    first = {shard.language: shard.documents for shard in shards}
    recorded = recorded_shards(context.executor, recipe, shards, first, unheard) if shards else ()
    for shard, made in zip(shards, recorded, strict=True):
        kept.put(keys[shard.language], made)
        sites[shard.language] = made
    return {tag: -np.asarray(sites[tag]["hidden"].get("attribution", "sum", tag), dtype=np.float64) for tag in tags}


def _sample(context: RunContext, tag: str) -> EncodedShard:
    documents = {tag: context.corpus.documents(tag, "detect")}
    text = Text(context.worker.loaded.tokenizer, documents, encoding_policy(context.spec), TOKENS)
    return EncodedShard(tag, tuple(encoded_documents(text, tag)))
