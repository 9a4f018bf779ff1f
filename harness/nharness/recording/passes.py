"""`record`: text in, statistics per site out."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from torch import nn

from nharness.corpora import Document, EncodingPolicy, by_document, encode
from nharness.errors import UsageError
from nharness.models import NeuronMap
from nharness.recording.accumulator import Accumulator
from nharness.recording.recorder import Recorder, RecordingOptions, Windows, shards_of
from nharness.statistics import Merger, Statistics

SCOUTED_DOCUMENTS = 8


class AskedFor(Protocol):
    """A statistic and a site, as detectors ask for them (`nharness.detector.Need`)."""

    @property
    def statistic(self) -> str: ...  # noqa: D102
    @property
    def site(self) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class Progress:
    """How far the pass is in one language: documents and counted tokens done, seconds spent on the language.

    of_documents is None where the number of documents is not known beforehand; `finished` marks the language's last
    call.
    """

    language: str
    documents: int
    of_documents: int | None
    tokens: int
    seconds: float
    finished: bool = False

    @property
    def tokens_per_second(self) -> float:
        """Counted tokens a second."""
        return self.tokens / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True)
class Text:
    """What is recorded: documents per language, and how they become tokens that count.

    max_tokens: budget of counted tokens per language.
    """

    tokenizer: Any
    documents: Mapping[str, Iterable[Document]]
    policy: EncodingPolicy = field(default_factory=EncodingPolicy)
    max_tokens: int | None = None


def record(
    model: nn.Module,
    neuron_map: NeuronMap,
    text: Text,
    needs: Iterable[AskedFor],
    *,
    options: RecordingOptions | None = None,
    accumulators: Mapping[str, type[Accumulator]] | None = None,
    provenance: Mapping[str, Any] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> dict[str, Statistics]:
    """Return the statistics at every site that `needs` names, all from one pass over the text.

    provenance: fingerprints of model, tokenizer and corpus; the dtype, the encoding policy, the budget and the shard
    size are added. Raises `CorpusError` for a language without text, `UnknownNameError` for an unknown statistic,
    `UsageError` when no language or no statistic is named.
    """
    wanted = [(need.statistic, need.site) for need in needs]
    if not wanted or not text.documents:
        raise UsageError("nothing to record; expected at least one statistic and one language")
    chosen = replace(options or RecordingOptions(), length=text.policy.max_length)
    policies = policy_provenance(model, text.policy, text.max_tokens, chosen)
    recorder = Recorder(model, neuron_map, wanted, chosen, accumulators or {}, {**(provenance or {}), **policies})
    streams = {tag: encoded_documents(text, tag) for tag in text.documents}
    if recorder.scouts():
        first = {tag: list(itertools.islice(stream, SCOUTED_DOCUMENTS)) for tag, stream in streams.items()}
        recorder.prepare(first)
        streams = {tag: itertools.chain(first[tag], stream) for tag, stream in streams.items()}
    mergers: dict[str, Merger] = {}
    for tag, stream in streams.items():
        report = _Report(tag, text.documents[tag], progress)
        for shard in shards_of(stream, chosen.shard_documents):
            for site, statistics in recorder.record_shard(tag, shard, report.tokens).items():
                mergers.setdefault(site, Merger()).add(statistics)
            report.documents(len(shard))
        report.end()
    return {site: merger.result() for site, merger in mergers.items()}


def encoded_documents(text: Text, language: str) -> Iterator[Windows]:
    """Yield the documents of one language encoded, each in its windows; errors as in `nharness.corpora.encode`."""
    documents = text.documents[language]
    return by_document(
        encode(text.tokenizer, documents, language=language, policy=text.policy, max_tokens=text.max_tokens)
    )


def policy_provenance(
    model: nn.Module, policy: EncodingPolicy, max_tokens: int | None, options: RecordingOptions
) -> dict[str, Any]:
    """Return what can change a number of the statistics beside model, tokenizer and corpus."""
    dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    return {
        "dtype": dtype,
        "encoding": policy.provenance,
        "max_tokens": max_tokens,
        "shard_documents": options.shard_documents,
    }


class _Report:
    """Counts what was seen of one language and tells the caller."""

    def __init__(
        self, language: str, documents: Iterable[Document], progress: Callable[[Progress], None] | None
    ) -> None:
        self._language, self._progress = language, progress
        self._known = len(documents) if isinstance(documents, Sequence) else None
        self._documents, self._tokens, self._start = 0, 0, time.perf_counter()

    def tokens(self, tokens: int) -> None:
        self._tokens += tokens
        self._tell(finished=False)

    def documents(self, documents: int) -> None:
        self._documents += documents
        self._tell(finished=False)

    def end(self) -> None:
        self._tell(finished=True)

    def _tell(self, *, finished: bool) -> None:
        if self._progress is not None:
            seconds = time.perf_counter() - self._start
            self._progress(
                Progress(self._language, self._documents, self._known, self._tokens, seconds, finished=finished)
            )
