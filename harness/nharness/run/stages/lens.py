"""The lens stage of a run: what every layer of the intact model says of the evaluation text, through the LM head.

1. Tokens of the vocabulary are told apart by language: by their counts in the detection text, and by script
   (`evaluation.token_language`).
2. Evenly spaced positions of each language's evaluation text are read layer by layer (`evaluation.lens`). A language's
   masses are in the store under a key over model, text, classes and number of positions.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nharness.errors import ModelError
from nharness.evaluation.lens import Lens
from nharness.evaluation.token_language import token_counts, token_languages
from nharness.events import Noted, StageAdvanced, StageFinished, StageStarted
from nharness.run.context import RunContext
from nharness.run.store import content_key
from nharness.statistics.lens_masses import LensMasses

STAGE = "lens"
COUNTED = 2_000
"""Most documents of a language in which tokens are counted."""


@dataclass(frozen=True)
class Layers:
    """Masses by language, and the share of every class of tokens in the vocabulary."""

    masses: Mapping[str, LensMasses]
    shares: NDArray[np.float64]


def read_layers(context: RunContext) -> Layers | None:
    """Return what the layers say; None where it was not asked for, or the model cannot be read so, which is told."""
    positions, worker = context.spec.lens, context.worker
    if not positions or context.part:
        return None
    started = time.perf_counter()
    context.listen(StageStarted(STAGE, len(context.languages) * positions, "tokens"))
    tokenizer = worker.loaded.tokenizer
    texts = {
        tag: [d.text for d in islice(context.corpus.documents(tag, "detect"), COUNTED)] for tag in context.languages
    }
    vocabulary = len(tokenizer)
    counts = {tag: token_counts(tokenizer, each, vocabulary) for tag, each in texts.items()}
    classes = token_languages(tokenizer, counts)
    try:
        lens = Lens(worker.engine.head, classes, len(context.languages) + 1)
    except ModelError as error:
        context.listen(Noted("warning", f"{error}: nothing is said of its layers"))
        return None
    found, reused = {}, True
    for tag in context.languages:
        key = _key(context, tag, classes)
        masses = context.store.get(STAGE, key, _masses)
        if masses is None:
            masses, reused = lens.read(worker.text(tag).documents, worker.engine.policy, positions), False
            context.store.put(STAGE, key, _payload(masses))
        found[tag] = masses
        context.listen(StageAdvanced(STAGE, positions, int(masses.positions.sum())))
    read = sum(int(each.positions.sum()) for each in found.values())
    summary = f"{read:,} positions in {len(found)} languages, read after every layer"
    context.listen(StageFinished(STAGE, time.perf_counter() - started, reused, summary))
    return Layers(found, lens.shares)


def _key(context: RunContext, tag: str, classes: NDArray[np.int64]) -> str:
    return content_key(
        stage=STAGE,
        identity=dict(context.identity),
        text=context.worker.text(tag).digest,
        policy=context.worker.engine.policy.provenance,
        classes=hashlib.sha256(classes.tobytes()).hexdigest(),
        positions=context.spec.lens,
    )


def _payload(found: LensMasses) -> dict[str, Any]:
    arrays = {"positions": found.positions, "mass": found.mass, "text": found.text}
    return {"clusters": list(found.clusters), **{name: array.tolist() for name, array in arrays.items()}}


def _masses(payload: Any) -> LensMasses:
    floats = partial(np.array, dtype=np.float64)
    positions = np.array(payload["positions"], dtype=np.int64)
    return LensMasses(tuple(payload["clusters"]), positions, floats(payload["mass"]), floats(payload["text"]))
