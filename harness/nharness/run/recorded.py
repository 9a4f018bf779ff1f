"""The recording stage of a run: one pass for every detector's needs, kept per language, so that a killed run goes on.

A language's statistics are files in the store under a key over model, text, encoding and needs; a JSON entry written
after them names them with their SHA-256, the documents used and what they cost.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from nharness.corpora import EncodingPolicy
from nharness.detector import Evidence, Need
from nharness.record.sources import CorpusSplit
from nharness.recording import Fold, Recorder, RecordingOptions, Text, encoded_documents, policy_provenance, shards_of
from nharness.recording.passes import SCOUTED_DOCUMENTS
from nharness.recording.recorder import Parts
from nharness.run.events import Listener, StageAdvanced, StageFinished, StageStarted
from nharness.run.store import Store, content_key, file_digest
from nharness.run.worker import Worker
from nharness.statistics import Statistics, merge
from nharness.statistics import load as load_statistics

STAGE = "record"


@dataclass(frozen=True)
class Recorded:
    """Evidence, the ids of the documents it was recorded on by language, and its cost (forward tokens, seconds)."""

    evidence: Evidence
    used: Mapping[str, frozenset[str]]
    splits: tuple[CorpusSplit, ...]
    tokens: int
    seconds: float


@dataclass(frozen=True)
class _Language:
    sites: Mapping[str, Statistics]
    ids: tuple[str, ...]
    bytes: int
    reused: bool


def record_evidence(worker: Worker, needs: Iterable[Need], store: Store, listen: Listener) -> Recorded:
    """Return what the detectors of a run need, recorded on the detection split or taken from the store."""
    started = time.perf_counter()
    pass_ = _Pass(worker, tuple(sorted({(need.statistic, need.site) for need in needs})), store, listen)
    languages = worker.resolved.languages
    listen(StageStarted(STAGE, len(languages) * worker.resolved.spec.corpus.detect_tokens, "tokens"))
    found = {tag: pass_.language(tag) for tag in languages}
    first = found[languages[0]]
    sites = {site: merge([language.sites[site] for language in found.values()]) for site in first.sites}
    totals = next(iter(sites.values())).totals
    splits = tuple(
        CorpusSplit(
            language=tag,
            split="detect",
            documents=totals[tag].documents,
            tokens=totals[tag].tokens,
            bytes=found[tag].bytes,
        )
        for tag in languages
    )
    tokens = sum(totals[tag].tokens for tag in languages if not found[tag].reused)
    seconds = time.perf_counter() - started
    summary = f"{sum(t.tokens for t in totals.values()):,} tokens in {len(languages)} languages at {', '.join(sites)}"
    listen(StageFinished(STAGE, seconds, not tokens, summary))
    return Recorded(
        Evidence(sites), {tag: frozenset(language.ids) for tag, language in found.items()}, splits, tokens, seconds
    )


class _Pass:
    """The pass over all languages with one recorder."""

    def __init__(self, worker: Worker, needs: Sequence[tuple[str, str]], store: Store, listen: Listener) -> None:
        spec, plugins = worker.resolved.spec, worker.resolved.plugins
        self._worker, self._needs, self._store, self._listen = worker, needs, store, listen
        policy = EncodingPolicy(max_length=spec.model.max_length, interest=spec.corpus.tokens_of_interest)
        corpus = worker.resolved.corpus
        self._text = Text(
            worker.loaded.tokenizer, {tag: corpus.documents(tag, "detect") for tag in worker.resolved.languages},
            policy, spec.corpus.detect_tokens,
        )  # fmt: skip
        options = RecordingOptions(batch_tokens=spec.model.batch_tokens, length=policy.max_length)
        self._key: dict[str, Any] = {
            "identity": worker.identity, "corpus": corpus.fingerprint, "needs": needs, "split": "detect",
            "policy": policy_provenance(worker.loaded.model, policy, spec.corpus.detect_tokens, options),
            "languages": worker.resolved.languages,
        }  # fmt: skip
        provenance = {
            "model": worker.loaded.fingerprint, "tokenizer": worker.loaded.tokenizer_fingerprint,
            "corpus": corpus.fingerprint, **self._key["policy"],
        }  # fmt: skip
        accumulators = {name: plugins.resolve("statistics", name) for name in plugins.entries("statistics")}
        self._shard_documents = options.shard_documents
        self._make = partial(Recorder, worker.loaded.model, worker.neuron_map, needs, options, accumulators, provenance)
        self._recorder: Recorder | None = None
        self._streams: dict[str, Iterator[Parts]] = {}

    def language(self, tag: str) -> _Language:
        """Return one language's statistics by site, from the store or from a pass over its text."""
        key = content_key(stage="record", language=tag, **self._key)
        found = self._stored(key)
        if found is not None:
            self._listen(StageAdvanced(STAGE, self._worker.resolved.spec.corpus.detect_tokens))
            return found
        ids: dict[str, None] = {}
        size = 0
        fold: dict[str, Fold] = {}
        recorder = self._ready()
        for shard in shards_of(self._streams[tag], self._shard_documents):
            for site, part in recorder.record_shard(tag, shard, self._seen).items():
                fold.setdefault(site, Fold()).add(part)
            ids.update(dict.fromkeys(parts[0].id for parts in shard))
            size += sum(part.bytes for parts in shard for part in parts)
        sites = {site: sums.result() for site, sums in fold.items()}
        self._keep(key, sites, list(ids), size)
        return _Language(sites, tuple(ids), size, reused=False)

    def _seen(self, tokens: int) -> None:
        self._listen(StageAdvanced(STAGE, tokens, tokens))

    def _ready(self) -> Recorder:
        """Return the recorder, its settings made from the first documents of every language."""
        if self._recorder is None:
            self._recorder = self._make()
            self._streams = {tag: encoded_documents(self._text, tag) for tag in self._text.documents}
            if self._recorder.scouts():
                first = {tag: list(itertools.islice(s, SCOUTED_DOCUMENTS)) for tag, s in self._streams.items()}
                self._recorder.prepare(first)
                self._streams = {tag: itertools.chain(first[tag], s) for tag, s in self._streams.items()}
        return self._recorder

    def _file(self, key: str, site: str) -> Path:
        return self._store.path("statistics", f"{key}-{site}", "safetensors")

    def _stored(self, key: str) -> _Language | None:
        entry = self._store.get("recorded", key)
        if entry is None:
            return None
        files = {site: self._file(key, site) for site in entry["sites"]}
        if any(not p.is_file() or file_digest(p) != entry["sites"][site] for site, p in files.items()):
            return None
        sites = {site: load_statistics(path) for site, path in files.items()}
        return _Language(sites, tuple(entry["ids"]), entry["bytes"], reused=True)

    def _keep(self, key: str, sites: Mapping[str, Statistics], ids: list[str], size: int) -> None:
        digests: dict[str, Any] = {}
        for site, found in sites.items():
            found.save(self._file(key, site))
            digests[site] = file_digest(self._file(key, site))
        self._store.put("recorded", key, {"sites": digests, "ids": ids, "bytes": size})


def with_losses(recorded: Recorded, losses: Mapping[str, Any]) -> Recorded:
    """Return the evidence with measured losses beside the statistics."""
    return replace(recorded, evidence=replace(recorded.evidence, losses=losses))
