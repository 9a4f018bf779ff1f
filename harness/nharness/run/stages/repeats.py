"""Detection repeated: on disjoint parts of the corpus, and on text that lost its languages.

1. The detection text of every language is dealt out into blocks, sources whole, in turn; each block's statistics are
   recorded apart and kept in the store.
2. `folds`: fold i has the blocks i, i + folds, ... of every language; detection runs on each fold, and the repeats are
   compared with each other.
3. `null`: the blocks of all languages are dealt out at random, as many to each label as before; detection runs on text
   without languages, and what it still finds is counted.

Files of neurons are not repeated, nor is what needs every neuron's ablation: the run says so, and refuses where there
is nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from nharness.analysis.stability import LabelShuffle, label_shuffle, stability
from nharness.detector import Detector, Evidence, Need
from nharness.errors import NharnessError, UsageError, during
from nharness.events import Noted, StageAdvanced, StageFinished, StageStarted
from nharness.neurons import Detection
from nharness.record.results import ShuffledCount, Stability
from nharness.recording import Text, encoded_documents
from nharness.recording.passes import SCOUTED_DOCUMENTS
from nharness.recording.recorder import Windows
from nharness.run.context import RunContext
from nharness.run.plan.planned import blocks_of_text, too_few
from nharness.run.plan.resolve import why_not_repeated
from nharness.run.stages.detect import Detected
from nharness.run.store import content_key
from nharness.run.work.kept_statistics import KeptStatistics
from nharness.run.work.recipe import (
    EncodedShard,
    encoding_policy,
    recipe_for,
    recorded_shards,
    recording_key,
)
from nharness.spec import RunSpec
from nharness.statistics import LanguageTotals, Merger, Statistics

STAGE = "repeat"
SHUFFLES = 10
Block = tuple[str, int]
"""A language and the number of one of its blocks."""


@dataclass(frozen=True)
class Repeated:
    """By detector: the agreement between its repeats and what shuffled labels leave, and its detections on folds."""

    stability: Mapping[str, tuple[Stability, ...]] = field(default_factory=dict)
    folds: Mapping[str, tuple[Detection, ...]] = field(default_factory=dict)


def repeat_detection(context: RunContext, detected: Mapping[str, Detected]) -> Repeated:
    """Return detections repeated on folds and on shuffled labels; empty where not asked for."""
    spec = context.spec
    if not (spec.folds or spec.null):
        return Repeated()
    detectors = {}
    for name in detected:
        detector = context.resolved.detectors[name]
        reason = why_not_repeated(detector)
        if reason:
            context.listen(Noted("note", f"{name} is not repeated: {reason}"))
        else:
            detectors[name] = detector
    needs = [need for detector in detectors.values() for need in detector.needs()]
    blocks = record_blocks(context, needs, blocks_of_text(spec))
    found: dict[str, list[Stability]] = {name: [] for name in detectors}
    folds: dict[str, list[Detection]] = {}
    if spec.folds:
        folds = _repeated(context, detectors, map(blocks.evidence, blocks.folds(spec.folds)))
        for name, repeats in folds.items():
            found[name].append(stability([_cut(each, spec) for each in repeats], kind="folds"))
    if spec.null:
        dealt = map(blocks.evidence, blocks.shuffles(SHUFFLES, spec.seed))
        for name, others in _repeated(context, detectors, dealt).items():
            observed, drawn = _cut(detected[name].detection, spec), [_cut(each, spec) for each in others]
            found[name].append(_as_stability(label_shuffle(observed, drawn), stability([observed, *drawn])))
    return Repeated(
        {name: tuple(several) for name, several in found.items()},
        {name: tuple(repeats) for name, repeats in folds.items()},
    )


def _cut(detection: Detection, spec: RunSpec) -> Detection:
    return detection if spec.budget is None else detection.cut(spec.budget)


def require_blocks(context: RunContext) -> None:
    """Raise `UsageError` for a language whose text cannot be dealt into the blocks that are asked for."""
    blocks = blocks_of_text(context.spec)
    if blocks:
        dealt_out(context, blocks)


def _repeated(
    context: RunContext, detectors: Mapping[str, Detector], evidence: Iterable[Evidence]
) -> dict[str, list[Detection]]:
    """Return every detector's result on each evidence; one that fails on any of them is reported and left out."""
    found: dict[str, list[Detection]] = {name: [] for name in detectors}
    for each in evidence:
        for name in tuple(found):
            try:
                with during(detector=name):
                    detection = detectors[name](each)
            except NharnessError as error:
                del found[name]
                context.listen(Noted("warning", f"{error}; it is not repeated"))
            else:
                found[name].append(detection)
    return found


def _as_stability(shuffle: LabelShuffle, agreement: Stability) -> Stability:
    rows = {**shuffle.languages, **shuffle.kinds}
    counts = tuple(ShuffledCount(what=what, observed=n.observed, mean=n.mean, p=n.p) for what, n in rows.items())
    repeats = agreement.repeats - 1
    return agreement.model_copy(update={"kind": "label_shuffle", "repeats": repeats, "shuffled": counts})


@dataclass(frozen=True)
class Blocks:
    """The detection text of every language in `count` blocks, each with its statistics by site."""

    languages: tuple[str, ...]
    count: int
    statistics: Mapping[Block, Mapping[str, Statistics]]

    def folds(self, folds: int) -> list[dict[str, list[Block]]]:
        """Return each fold's blocks by language."""
        return [
            {tag: [(tag, b) for b in range(fold, self.count, folds)] for tag in self.languages} for fold in range(folds)
        ]

    def shuffles(self, number: int, seed: int) -> Iterator[dict[str, list[Block]]]:
        """Yield all blocks dealt out to the languages at random; the same for the same seed."""
        every = [(tag, block) for tag in self.languages for block in range(self.count)]
        for draw in range(number):
            order = np.random.default_rng([seed, draw]).permutation(len(every))
            dealt = [every[place] for place in order]
            yield {tag: dealt[row * self.count : (row + 1) * self.count] for row, tag in enumerate(self.languages)}

    def evidence(self, chosen: Mapping[str, Sequence[Block]]) -> Evidence:
        """Return the statistics of blocks added up under the labels they were given."""
        mergers: dict[str, Merger] = {}
        for tag, blocks in chosen.items():
            for block in blocks:
                for site, table in self.statistics[block].items():
                    mergers.setdefault(site, Merger()).add(relabelled(table, block[0], tag))
        return Evidence({site: merger.result() for site, merger in mergers.items()})


def record_blocks(context: RunContext, needs: Iterable[Need], count: int) -> Blocks:
    """Return the blocks with what is needed of each, from the store or recorded.

    Raises `UsageError` for a language with fewer documents than blocks.
    """
    started, tags = time.perf_counter(), context.languages
    context.listen(StageStarted(STAGE, len(tags) * context.spec.corpus.detect_tokens, "tokens"))
    shelf = _Shelf(context, tuple(sorted({(n.statistic, n.site) for n in needs})))
    blocks = [(tag, block) for tag in tags for block in range(count)]
    known = {block: shelf.stored(block, count) for block in blocks}
    missing = [block for block in blocks if known[block] is None]
    made = shelf.record(missing, count) if missing else {}
    summary = f"{count} blocks of {len(tags)} languages"
    context.listen(StageFinished(STAGE, time.perf_counter() - started, reused=not missing, summary=summary))
    return Blocks(tags, count, {block: found or made[block] for block, found in known.items()})


class _Shelf:
    """Blocks' statistics in the store, and the recording of those that are not there."""

    def __init__(self, context: RunContext, needs: tuple[tuple[str, str], ...]) -> None:
        self._context, self._kept = context, KeptStatistics(context.store, "blocks", "blocks")
        self._recipe = recipe_for(context.worker, context.corpus, needs)
        self._key = recording_key(context.worker, self._recipe, context.identity)

    def key(self, block: Block, count: int) -> str:
        """Return a block's content key."""
        return content_key(stage="block", block=block, count=count, **self._key)

    def stored(self, block: Block, count: int) -> Mapping[str, Statistics] | None:
        """Return one block's statistics by site, None when they are absent or damaged."""
        found = self._kept.get(self.key(block, count))
        return None if found is None else found.sites

    def record(self, blocks: Sequence[Block], count: int) -> dict[Block, dict[str, Statistics]]:
        """Return blocks' statistics by site, recorded in one go and kept as they come."""
        context, documents = self._context, dealt_out(self._context, count)
        first = {tag: documents[tag, 0][:SCOUTED_DOCUMENTS] for tag in context.languages}
        shards = [EncodedShard(block[0], tuple(documents[block])) for block in blocks]
        recorded = recorded_shards(context.executor, self._recipe, shards, first, self._seen)
        found = {}
        for block, made in zip(blocks, recorded, strict=True):
            self._kept.put(self.key(block, count), made)
            found[block] = made
        return found

    def _seen(self, tokens: int) -> None:
        self._context.listen(StageAdvanced(STAGE, tokens, tokens))


def dealt_out(context: RunContext, count: int) -> dict[Block, list[Windows]]:
    """Return the encoded documents of every block; sources are dealt out whole where there are enough of them.

    Raises `UsageError` for a language with fewer documents than blocks.
    """
    most = context.spec.corpus.detect_tokens
    found: dict[Block, list[Windows]] = {}
    for tag in context.languages:
        documents = {tag: context.corpus.documents(tag, "detect")}
        text = Text(context.worker.loaded.tokenizer, documents, encoding_policy(context.spec), most)
        encoded = list(encoded_documents(text, tag))
        sources = [each[0].cluster for each in encoded]
        if len(set(sources)) < count:
            sources = [each[0].id for each in encoded]
        numbers = {source: place for place, source in enumerate(dict.fromkeys(sources))}
        if len(numbers) < count:
            raise UsageError(too_few(tag, count, len(numbers), most))
        for source, each in zip(sources, encoded, strict=True):
            found.setdefault((tag, numbers[source] % count), []).append(each)
    return found


def relabelled(table: Statistics, tag: str, label: str) -> Statistics:
    """Return one language's statistics as another's."""
    totals: dict[str, LanguageTotals] = {label: table.totals[tag]}
    tensors = {f"{name.removesuffix(tag)}{label}": tensor for name, tensor in table.tensors.items()}
    return replace(table, totals=totals, tensors=tensors)
