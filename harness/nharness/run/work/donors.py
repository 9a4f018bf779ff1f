"""Values of other text in place of activations: what the changes `resample` and `patch` take.

Legend: `B` rows of a forward pass, `T` its length, `N` donor tokens, `n` neurons of a change.

1. Donor text runs through the model as it is, and what the neurons said at its tokens is kept, [N, n]; an
   expert says 0 at a token that was not sent to it.
2. Before every forward pass of the edited model a hook on the input embeddings reads the token ids [B, T] and chooses
   the donor token of every position, one for all neurons and layers.
   resample: a random token of the donor languages' detection text, `DONOR_TOKENS` of each; the choice is seeded by the
   change's seed and the ids, so that it does not depend on what ran before.
   patch: the token at the same relative place in the document of the same id in the first donor language that is not
   the evaluated one, cut where the evaluated excerpt is. Evaluated text is known by its tokens; any other is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nharness.corpora import Corpus, EncodedDocument, batches, counterpart
from nharness.errors import CellError
from nharness.evaluation.perplexity import PerplexityEngine
from nharness.evaluation.windows import windows
from nharness.intervention import AnyChange, Change, ValueChange
from nharness.models import Given, NeuronMap, ValueEdit, observe
from nharness.run.work.edits import by_layer

DONOR_TOKENS = 512
KEY_TOKENS = 8

Choice = Callable[[NDArray[np.int64]], NDArray[np.int64]]


@dataclass(frozen=True)
class DonorText:
    """Where donor text comes from: the engine that encodes and windows it, the corpus, and what is evaluated."""

    engine: PerplexityEngine
    corpus: Corpus
    evaluated: Callable[[str], Sequence[EncodedDocument]]


@dataclass(frozen=True)
class ReadWindow:
    """A window of a document as the model reads it: its tokens int64 [t] and where in the document it starts."""

    document: EncodedDocument
    start: int
    tokens: NDArray[np.int64]


@contextmanager
def donor_edits(
    changes: Sequence[AnyChange], neuron_map: NeuronMap, text: DonorText, languages: Iterable[str]
) -> Iterator[list[ValueEdit]]:
    """Give the edits of the changes that take their values from other text, for the evaluation of text in `languages`.

    The model must be unedited on entry; the hook that chooses donor tokens is removed on leaving. A document without a
    parallel one raises `CellError` when it is evaluated.
    """
    edits: list[ValueEdit] = []
    handles = []
    try:
        for change in changes:
            if not isinstance(change, ValueChange) and change.values_from:
                donors, choice = _WAYS[change.values_from](change, text, tuple(languages))
                values = donor_values(text.engine, neuron_map, change, donors)
                chooser = _Chooser(choice)
                edits += _value_edits(change, neuron_map, values, chooser)
                embeddings = text.engine.model.get_input_embeddings()
                handles.append(embeddings.register_forward_pre_hook(chooser, with_kwargs=True))
        yield edits
    finally:
        for handle in handles:
            handle.remove()


class _Chooser:
    """Hook on the input embeddings: chooses the donor token of every position of the pass, int64 [B * T]."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self.index = torch.zeros(0, dtype=torch.int64)

    def __call__(self, _module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        ids = args[0] if args else kwargs["input"]
        chosen = self._choice(np.atleast_2d(ids.detach().cpu().numpy()))
        self.index = torch.from_numpy(chosen).to(ids.device)


def _value_edits(change: Change, neuron_map: NeuronMap, values: Tensor, chooser: _Chooser) -> list[ValueEdit]:
    edits = []
    for layer, columns, units in by_layer(change.flat, neuron_map):
        own = values[:, torch.from_numpy(columns).to(values.device)]

        def put(given: Given, own: Tensor = own) -> Tensor:
            chosen = chooser.index.to(own.device)[given.rows.to(own.device)]
            return own[chosen[:, None], given.columns.to(own.device)]

        edits.append(ValueEdit(layer, change.site, torch.from_numpy(units), put))
    return edits


def donor_values(
    engine: PerplexityEngine, neuron_map: NeuronMap, change: Change, documents: Sequence[EncodedDocument]
) -> Tensor:
    """Return what the change's neurons say at every token that the model reads of the documents, [N, n]."""
    offsets = np.cumsum([0, *(read_length(engine, document) for document in documents)])
    read = [(place, window) for place, document in enumerate(documents) for window in read_windows(engine, document)]
    values = torch.zeros(int(offsets[-1]), change.flat.size, device=engine.model.device, dtype=engine.model.dtype)
    layers = {layer: (columns, units) for layer, columns, units in by_layer(change.flat, neuron_map)}
    pending: Tensor = torch.zeros(0, dtype=torch.int64)

    def keep(seen: Any) -> None:
        columns, units = layers.get(seen.layer, (np.empty(0, np.int64), np.empty(0, np.int64)))
        inside = (units >= seen.first_unit) & (units < seen.first_unit + seen.values.shape[1])
        if inside.any():
            rows = pending if seen.rows is None else pending[seen.rows]
            source = seen.values[:, torch.from_numpy(units[inside] - seen.first_unit).to(seen.values.device)]
            real = rows >= 0
            columns_here = torch.from_numpy(columns[inside]).to(values.device)
            values[rows[real][:, None], columns_here] = source[real].to(values)

    whole = [_as_document(window) for _, window in read]
    trunk = engine.head.trunk if engine.head.trunk is not None else engine.model
    with torch.inference_mode(), observe(engine.model, neuron_map, [change.site], keep):
        for batch in batches(whole, engine.room()):
            place = np.full(batch.tokens.shape, -1, dtype=np.int64)
            for row, number in enumerate(batch.rows):
                document, window = read[number]
                place[row, : len(window.tokens)] = offsets[document] + window.start + np.arange(len(window.tokens))
            pending = torch.from_numpy(place.reshape(-1)).to(values.device)
            trunk(input_ids=torch.from_numpy(batch.tokens).to(engine.model.device), use_cache=False)
    return values


def read_windows(engine: PerplexityEngine, document: EncodedDocument) -> Iterator[ReadWindow]:
    """Yield what the model reads of a document, window by window, the prefix token counted as its first."""
    done = None
    for window in windows(document, engine.policy):
        done = window.counted_from - 1 if done is None else done
        done += window.counted
        yield ReadWindow(document, done + 1 - len(window.tokens), window.tokens[:-1])


def read_length(engine: PerplexityEngine, document: EncodedDocument) -> int:
    """Return how many tokens of the document the model reads, the prefix token included."""
    return max((window.start + len(window.tokens) for window in read_windows(engine, document)), default=0)


def _as_document(window: ReadWindow) -> EncodedDocument:
    document = window.document
    return EncodedDocument(document.id, document.language, document.cluster, 0, window.tokens, 0, len(window.tokens), 0)


def _resample(change: Change, text: DonorText, languages: tuple[str, ...]) -> tuple[list[EncodedDocument], Choice]:
    del languages  # any text is edited alike
    documents: list[EncodedDocument] = []
    for tag in change.donors:
        found = text.corpus.documents(tag, "detect")
        documents += text.engine.encode(found, language=tag, max_tokens=DONOR_TOKENS)
    count = sum(read_length(text.engine, document) for document in documents)

    def choose(ids: NDArray[np.int64]) -> NDArray[np.int64]:
        random = np.random.default_rng([change.seed, crc32(np.ascontiguousarray(ids).tobytes())])
        return random.integers(0, count, ids.size)

    return documents, choose


def _patch(change: Change, text: DonorText, languages: tuple[str, ...]) -> tuple[list[EncodedDocument], Choice]:
    finder: dict[bytes, list[_Evaluated]] = {}
    documents: list[EncodedDocument] = []
    for tag in languages:
        donor = next((other for other in change.donors if other != tag), None)
        if donor is None:
            raise CellError(f"intervention patch needs another language than {tag!r} for parallel text")
        own = text.evaluated(tag)
        parallel = _parallel(text, donor, tag, own)
        for document in own:
            paired = document.id in parallel
            length = read_length(text.engine, document)
            for window in read_windows(text.engine, document):
                target = _Evaluated(window, length, len(documents) if paired else None, donor)
                finder.setdefault(_key(window.tokens), []).append(target)
            documents += [parallel[document.id]] if paired else []
    return documents, _PlaceFinder(finder, [read_length(text.engine, document) for document in documents])


def _parallel(text: DonorText, donor: str, language: str, own: Sequence[EncodedDocument]) -> dict[str, EncodedDocument]:
    """Return the donor's documents by id, each cut where the excerpt of the evaluated one is."""
    sizes = {document.id: document.bytes for document in own}
    whole = {d.id: d for d in text.corpus.documents(language, "eval") if d.id in sizes}
    found = []
    for document in text.corpus.documents(donor, "eval"):
        if document.id in whole:
            other = whole[document.id]
            beginning = (other.prompt + other.text).encode()[: sizes[document.id]].decode(errors="ignore")
            excerpt = beginning[len(other.prompt) :]
            found.append(replace(document, text=counterpart(excerpt, other.text, document.text)))
    return {document.id: document for document in text.engine.encode(found, language=donor)} if found else {}


@dataclass(frozen=True)
class _Evaluated:
    """A window of an evaluated document, the document's length, the number of its parallel one, and its language."""

    window: ReadWindow
    length: int
    donor: int | None
    language: str


class _PlaceFinder:
    """Chooses, for every position of the evaluated documents, the donor token at the same relative place."""

    def __init__(self, finder: dict[bytes, list[_Evaluated]], lengths: Sequence[int]) -> None:
        self._finder, self._lengths = finder, lengths
        self._offsets = np.cumsum([0, *lengths])

    def __call__(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the donor token of every position, int64 [B * T]; padding gets some token of its row's document."""
        return np.concatenate([self._row(row) for row in ids])

    def _row(self, row: NDArray[np.int64]) -> NDArray[np.int64]:
        target = self._found(row)
        if target.donor is None:
            document = target.window.document
            raise CellError(
                f"document {document.id!r} ({document.language}) has no parallel one in {target.language!r}, "
                "which intervention patch needs"
            )
        place = np.minimum(target.window.start + np.arange(len(row)), target.length - 1)
        ratio = (self._lengths[target.donor] - 1) / max(target.length - 1, 1)
        return np.asarray(self._offsets[target.donor] + np.floor(place * ratio + 0.5).astype(np.int64))

    def _found(self, row: NDArray[np.int64]) -> _Evaluated:
        """Return the longest window that the row begins with."""
        matches = [
            target
            for length in range(1, min(KEY_TOKENS, len(row)) + 1)
            for target in self._finder.get(row[:length].tobytes(), ())
            if np.array_equal(target.window.tokens, row[: len(target.window.tokens)])
        ]
        if not matches:
            raise CellError("intervention patch edits whole evaluation documents only, and this is not one")
        return max(matches, key=lambda target: len(target.window.tokens))


def _key(tokens: NDArray[np.int64]) -> bytes:
    return np.ascontiguousarray(tokens[:KEY_TOKENS], dtype=np.int64).tobytes()


_WAYS = {"resample": _resample, "patch": _patch}
