"""Which neuron of a set is likely to do most of its harm: a first-order estimate, to be confirmed by one more cell.

Legend: `M` neurons of the model.

Minus activation times the gradient of the loss is about what zeroing a neuron adds to the loss. It is taken on the
first `TOKENS` tokens of each language's detection text, once for all detectors of a run, and kept in the store. It only
says where to look: what a record holds is measured.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from nharness.errors import ModelError
from nharness.events import Noted
from nharness.recording import Text, encoded_documents
from nharness.run.context import RunContext
from nharness.run.store import content_key
from nharness.run.work.kept_statistics import KeptStatistics
from nharness.run.work.recipe import (
    EncodedShard,
    RecordWork,
    encoding_policy,
    recipe_for,
    recorder_of,
    recording_key,
    settled,
)
from nharness.statistics import Statistics

TOKENS = 2_000
NEED = ("attribution", "hidden")


Whose = TypeVar("Whose", bound=Hashable)


def strongest_first(
    context: RunContext, sets: Mapping[Whose, NDArray[np.int64]], language_of: Mapping[Whose, str]
) -> dict[Whose, int]:
    """Return, of every set of flat indices, the one whose loss is estimated to do its language most harm.

    Empty, with a note, for a model whose gradients cannot be had.
    """
    if not sets:
        return {}
    try:
        effects = {tag: _effect(context, tag) for tag in dict.fromkeys(language_of[whose] for whose in sets)}
    except ModelError as error:
        context.listen(Noted("note", f"no set was measured without its strongest neuron: {error}"))
        return {}
    return {whose: int(flat[np.argmax(effects[language_of[whose]][flat])]) for whose, flat in sets.items()}


def _effect(context: RunContext, tag: str) -> NDArray[np.float64]:
    """Return the estimated change of loss [M] when each neuron is zeroed, in nats over the sample."""
    kept = KeptStatistics(context.store, "blocks", "blocks")
    recipe = recipe_for(context.worker, context.corpus, (NEED,))
    key = content_key(
        stage="hinge", language=tag, tokens=TOKENS, **recording_key(context.worker, recipe, context.identity)
    )
    found = kept.get(key)
    sites = _recorded(context, tag) if found is None else found.sites
    if found is None:
        kept.put(key, sites)
    return -np.asarray(sites["hidden"].get("attribution", "sum", tag), dtype=np.float64)


def _recorded(context: RunContext, tag: str) -> Mapping[str, Statistics]:
    documents = {tag: context.corpus.documents(tag, "detect")}
    text = Text(context.worker.loaded.tokenizer, documents, encoding_policy(context.spec), TOKENS)
    shard = EncodedShard(tag, tuple(encoded_documents(text, tag)))
    recipe = recipe_for(context.worker, context.corpus, (NEED,))
    recorder = recorder_of(context.worker, recipe)
    if recorder.scouts():
        recorder.prepare({tag: list(shard.documents)})
    (sites,) = context.executor.map(RecordWork(settled(recipe, recorder)), [shard], lambda _tokens: None)
    return sites
