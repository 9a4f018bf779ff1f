"""The recording stage of a run: one pass for every detector's needs, kept per language, so that a killed run goes on.

A language's statistics are files in the store under a key over model, text, encoding and needs; a JSON entry written
after them names them with their SHA-256, the documents used and what they cost.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nharness.corpora import amount
from nharness.detector import Evidence, Need
from nharness.events import StageAdvanced, StageFinished, StageStarted
from nharness.record.sources import CorpusSplit
from nharness.recording import Text, encoded_documents, shards_of
from nharness.recording.passes import SCOUTED_DOCUMENTS
from nharness.recording.recorder import Windows
from nharness.run.context import RunContext
from nharness.run.plan.resolve import Resolved, load_detector
from nharness.run.store import content_key
from nharness.run.work.kept_statistics import KeptStatistics
from nharness.run.work.recipe import (
    EncodedShard,
    Recipe,
    RecordWork,
    encoding_policy,
    recipe_for,
    recorder_of,
    recording_key,
    settled,
)
from nharness.spec import Named
from nharness.statistics import Merger, Statistics, merge

STAGE = "record"


@dataclass(frozen=True)
class Recorded:
    """Evidence, the ids of the documents it was recorded on by language, in order, and its cost (tokens, seconds).

    The cost is that of recording, whichever run it was that recorded. dtype: of the weights meanwhile; None where
    nothing was recorded or ablated.
    """

    evidence: Evidence
    documents: Mapping[str, tuple[str, ...]]
    splits: tuple[CorpusSplit, ...]
    tokens: int
    seconds: float
    dtype: str | None = None


@dataclass(frozen=True)
class _Language:
    sites: Mapping[str, Statistics]
    ids: tuple[str, ...]
    bytes: int
    sources: int
    unknown: int
    seconds: float
    reused: bool


@dataclass(frozen=True)
class _Sent:
    """What is known of a shard on its way: its language, ids and sources of its documents, bytes, unknown tokens."""

    tag: str
    ids: tuple[str, ...]
    sources: frozenset[str]
    bytes: int
    unknown: int


def _sent(tag: str, shard: Sequence[Windows]) -> _Sent:
    found = amount(window for document in shard for window in document)
    sources = frozenset(document[0].cluster for document in shard)
    return _Sent(tag, tuple(document[0].id for document in shard), sources, found.bytes, found.unknown)


class _Sum:
    """The shards of one language added up."""

    def __init__(self) -> None:
        self.ids: dict[str, None] = {}
        self.sources: set[str] = set()
        self.bytes = self.unknown = 0
        self._mergers: dict[str, Merger] = {}

    def add(self, shard: _Sent, sites: Mapping[str, Statistics]) -> None:
        self.ids.update(dict.fromkeys(shard.ids))
        self.sources |= shard.sources
        self.bytes += shard.bytes
        self.unknown += shard.unknown
        for site, table in sites.items():
            self._mergers.setdefault(site, Merger()).add(table)

    def result(self) -> dict[str, Statistics]:
        return {site: merger.result() for site, merger in self._mergers.items()}


def needs_of(resolved: Resolved) -> tuple[Need, ...]:
    """Return everything that detectors, interventions and controls need recorded; nothing, where none needs any."""
    controls = resolved.spec.controls
    needs = [need for detector in resolved.detectors.values() for need in detector.needs()]
    needs += [need for intervention in resolved.interventions.values() for need in intervention.needs()]
    if controls.draws:
        drawing = Named(name=controls.detector, options={"match": controls.match})
        needs += load_detector(drawing, resolved.plugins).needs()
    return tuple(dict.fromkeys(needs))


def record(context: RunContext, needs: Iterable[Need]) -> Recorded:
    """Return what is needed, recorded on the detection split or taken from the store.

    The numbers do not depend on the executor. Without needs nothing is read: the evidence names languages and layers,
    and has no statistic.
    """
    started, languages = time.perf_counter(), context.languages
    needed = tuple(sorted({(need.statistic, need.site) for need in needs}))
    if not needed:
        return Recorded(Evidence.without_statistics(languages, context.worker.neuron_map), {}, (), 0, 0.0)
    pass_ = _Pass(context, needed)
    context.listen(StageStarted(STAGE, len(languages) * context.spec.corpus.detect_tokens, "tokens"))
    known = {tag: pass_.stored(tag) for tag in languages}
    made = pass_.record([tag for tag in languages if known[tag] is None])
    found = {tag: made[tag] if language is None else language for tag, language in known.items()}
    sites = {site: merge([language.sites[site] for language in found.values()]) for site in found[languages[0]].sites}
    totals = next(iter(sites.values())).totals
    splits = tuple(
        CorpusSplit(
            language=tag,
            split="detect",
            documents=totals[tag].documents,
            tokens=totals[tag].tokens,
            bytes=found[tag].bytes,
            sources=found[tag].sources,
            unknown_share=found[tag].unknown / max(1, totals[tag].tokens),
        )
        for tag in languages
    )
    tokens, seconds = sum(t.tokens for t in totals.values()), sum(language.seconds for language in found.values())
    summary = f"{tokens:,} tokens in {len(languages)} languages at {', '.join(sites)}"
    context.listen(StageFinished(STAGE, time.perf_counter() - started, not made, summary))
    documents = {tag: language.ids for tag, language in found.items()}
    return Recorded(Evidence(sites), documents, splits, tokens, seconds, context.worker.dtype)


class _Pass:
    """The pass over all languages."""

    def __init__(self, context: RunContext, needs: Sequence[tuple[str, str]]) -> None:
        self._context, self._kept = context, KeptStatistics(context.store, "recorded", "statistics")
        self._text = Text(
            context.worker.loaded.tokenizer,
            {tag: context.corpus.documents(tag, "detect") for tag in context.languages},
            encoding_policy(context.spec),
            context.spec.corpus.detect_tokens,
        )
        self._recipe = recipe_for(context.worker, context.corpus, needs)
        self._key = recording_key(context.worker, self._recipe, context.identity)

    def stored(self, tag: str) -> _Language | None:
        """Return one language's statistics by site from the store, None when they are not there or damaged."""
        found = self._kept.get(self._key_of(tag))
        if found is None:
            return None
        self._context.listen(StageAdvanced(STAGE, self._context.spec.corpus.detect_tokens))
        notes = found.notes
        counts = (notes["bytes"], notes["sources"], notes["unknown"])
        return _Language(found.sites, tuple(notes["ids"]), *counts, notes["seconds"], reused=True)

    def record(self, tags: Sequence[str]) -> dict[str, _Language]:
        """Return the statistics of languages from one pass over their text; each is kept as soon as it is complete."""
        if not tags:
            return {}
        self._since = time.perf_counter()
        recipe, streams = self._prepared()
        sent: deque[_Sent] = deque()
        done: dict[str, _Language] = {}
        sums: dict[str, _Sum] = {}

        def shards() -> Iterator[EncodedShard]:
            for tag in tags:
                for shard in shards_of(streams[tag], recipe.options.shard_documents):
                    sent.append(_sent(tag, shard))
                    yield EncodedShard(tag, tuple(shard))

        for sites in self._context.executor.map(RecordWork(recipe), shards(), self._seen):
            shard = sent.popleft()
            for tag in [tag for tag in sums if tag != shard.tag]:
                done[tag] = self._keep(tag, sums.pop(tag))
            sums.setdefault(shard.tag, _Sum()).add(shard, sites)
        return done | {tag: self._keep(tag, rest) for tag, rest in sums.items()}

    def _prepared(self) -> tuple[Recipe, dict[str, Iterator[Windows]]]:
        """Return the recipe, its settings made from the first documents of every language, and the documents."""
        recorder = recorder_of(self._context.worker, self._recipe)
        streams = {tag: encoded_documents(self._text, tag) for tag in self._text.documents}
        if recorder.scouts():
            first = {tag: list(itertools.islice(s, SCOUTED_DOCUMENTS)) for tag, s in streams.items()}
            recorder.prepare(first)
            streams = {tag: itertools.chain(first[tag], s) for tag, s in streams.items()}
        return settled(self._recipe, recorder), streams

    def _seen(self, tokens: int) -> None:
        self._context.listen(StageAdvanced(STAGE, tokens, tokens))

    def _key_of(self, tag: str) -> str:
        return content_key(stage="record", language=tag, **self._key)

    def _keep(self, tag: str, found: _Sum) -> _Language:
        sites, now = found.result(), time.perf_counter()
        seconds, self._since = now - self._since, now
        counts = found.bytes, len(found.sources), found.unknown
        named = dict(zip(("bytes", "sources", "unknown"), counts, strict=True))
        self._kept.put(self._key_of(tag), sites, ids=list(found.ids), seconds=seconds, **named)
        return _Language(sites, tuple(found.ids), *counts, seconds, reused=False)
