"""The lens stage of a run: what every layer of the intact model says of the evaluation text, through the LM head.

1. Tokens of the vocabulary are told apart by language: by their counts in the detection text, and by script
   (`evaluation.token_language`).
2. Evenly spaced positions of each language's evaluation text are read layer by layer (`evaluation.lens`), wherever the
   executor works. A language's masses are in the store under a key over model, text, classes and number of positions.
3. Parts of a run read none, and neither does who joins them, since it works on nothing.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nharness.errors import ModelError, UsageError
from nharness.evaluation.lens import Lens
from nharness.evaluation.token_language import token_counts, token_languages
from nharness.events import Noted, StageAdvanced, StageFinished, StageStarted
from nharness.run.context import RunContext
from nharness.run.store import content_key
from nharness.run.work.executor import Seen, Work, unheard
from nharness.run.work.worker import Worker
from nharness.statistics.lens_masses import LensMasses

STAGE = "lens"
COUNTED = 2_000
"""Most documents of a language in which tokens are counted."""


@dataclass(frozen=True)
class Layers:
    """Masses by language, and the share of every class of tokens in the vocabulary."""

    masses: Mapping[str, LensMasses]
    shares: NDArray[np.float64]


@dataclass(frozen=True)
class TextOf:
    """A language's evaluation text, by the digest that it has here."""

    language: str
    digest: str


@dataclass(frozen=True, eq=False)
class LensWork(Work[TextOf, LensMasses]):
    """Read positions of one language's text layer by layer; classes int64 [V] of tokens, `count` of them."""

    in_order = True
    classes: NDArray[np.int64]
    count: int
    positions: int

    def begin(self, worker: Worker, seen: Seen) -> Callable[[TextOf], Iterator[LensMasses]]:
        """Return what reads; raises `UsageError` where a worker has other text. `seen` is not told of positions."""
        del seen
        lens = Lens(worker.engine.head, self.classes, self.count)

        def read(of: TextOf) -> Iterator[LensMasses]:
            text = worker.text(of.language)
            if text.digest != of.digest:
                raise UsageError(
                    f"a worker has other evaluation text in {of.language!r} than the process that runs all"
                )
            yield lens.read(text.documents, worker.engine.policy, self.positions)

        return read


def read_layers(context: RunContext) -> Layers | None:
    """Return what the layers say; None where it was not asked for, or the model cannot be read so, which is told."""
    positions, worker = context.spec.lens, context.worker
    if not positions or context.part:
        return None
    if not context.executor.computes:
        context.listen(Noted("warning", "parts of a run do not read layers: --lens is left out where they are joined"))
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
    keys = {tag: _key(context, tag, classes) for tag in context.languages}
    kept = {tag: context.store.get(STAGE, key, _masses) for tag, key in keys.items()}
    missing = [TextOf(tag, worker.text(tag).digest) for tag, masses in kept.items() if masses is None]
    context.listen(StageAdvanced(STAGE, positions * (len(kept) - len(missing))))
    made = context.executor.map(LensWork(classes, len(context.languages) + 1, positions), missing, unheard)
    for of, masses in zip(missing, made, strict=True):
        context.store.put(STAGE, keys[of.language], _payload(masses))
        kept[of.language] = masses
        context.listen(StageAdvanced(STAGE, positions, int(masses.positions.sum())))
    found = {tag: masses for tag, masses in kept.items() if masses is not None}
    read = sum(int(each.positions.sum()) for each in found.values())
    summary = f"{read:,} positions in {len(found)} languages, read after every layer"
    context.listen(StageFinished(STAGE, time.perf_counter() - started, not missing, summary))
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
