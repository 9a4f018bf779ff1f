"""The ablation stage of a run: measured where a detector needs it, taken from the store or a shipped file where known.

Legend: `G` languages, `M` neurons of the model.

File: safetensors, format `nharness-ablation/1`: `delta/<lang>` float32 [M], nats per token; metadata: fingerprints of
model, tokenizer and corpus, `layer_widths`, `languages: {<lang>: {"tokens": n}}`, the window, and `split`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nharness.ablation.engine import WINDOW, Ablation, Ablator, Chosen, ablation_of, choose_windows, text_digest
from nharness.corpora import EncodedDocument
from nharness.errors import FileFormatError, UsageError
from nharness.events import Listener, StageAdvanced, StageFinished, StageStarted
from nharness.plugins import Plugins
from nharness.run.context import RunContext
from nharness.run.stages.record import Recorded
from nharness.run.store import content_key
from nharness.run.work.executor import Seen, Work
from nharness.run.work.worker import Worker
from nharness.tensorfile import field as metadata_field
from nharness.tensorfile import load as load_tensors
from nharness.tensorfile import save as save_tensors

FORMAT = "nharness-ablation/1"
STAGE = "ablate"


@dataclass(frozen=True)
class AblationFile:
    """A measurement that was written down: delta float64 [M] by language, and what it is of."""

    delta: Mapping[str, NDArray[np.float64]]
    metadata: Mapping[str, Any]

    @property
    def layer_widths(self) -> tuple[int, ...]:
        """Neurons per layer."""
        return tuple(int(width) for width in self.metadata["layer_widths"])

    def is_of(self, worker: Worker) -> bool:
        """Tell whether it was measured on the worker's model and tokenizer."""
        return (self.metadata.get("model"), self.metadata.get("tokenizer")) == (
            worker.loaded.fingerprint,
            worker.loaded.tokenizer_fingerprint,
        )

    def tokens(self, language: str) -> int:
        """Return on how many tokens a language was measured, 0 for one that was not."""
        return int(self.metadata["languages"].get(language, {}).get("tokens", 0))


def save_ablation(path: Path, ablation: Ablation, *, layer_widths: tuple[int, ...], **metadata: Any) -> None:
    """Write a measurement; `metadata` names model, tokenizer, corpus and split."""
    tensors = {name: delta.astype(np.float32) for name, delta in ablation.loss_changes.items()}
    save_tensors(
        path,
        tensors,
        {
            "format": FORMAT,
            "layer_widths": list(layer_widths),
            "window": WINDOW,
            **metadata,
            "languages": {tag: {"tokens": count} for tag, count in ablation.tokens.items()},
        },
    )


def load_ablation(path: Path) -> AblationFile:
    """Read a file of ablations; raises `FileFormatError` for damage or tensors that contradict the widths."""
    tensors, metadata = load_tensors(path, FORMAT)
    size = sum(metadata_field(path, metadata, "layer_widths", list))
    found = {}
    for tag in metadata_field(path, metadata, "languages", dict):
        delta = tensors.get(f"delta/{tag}")
        if delta is None or delta.shape != (size,):
            raise FileFormatError(f"{path}: expected tensor 'delta/{tag}' of {size} neurons")
        found[tag] = delta.astype(np.float64)
    return AblationFile(found, metadata)


def shipped_files(plugins: Plugins) -> dict[str, Path]:
    """Return the registered files of ablations that are there, by name."""
    values = {name: registered.entry.value for name, registered in plugins.entries("truths").items()}
    return {name: value for name, value in values.items() if isinstance(value, Path) and value.is_file()}


TextLayer = tuple[str, int]
"""A language and the index of a layer."""


@dataclass(frozen=True)
class LayerOfText:
    """What is ablated at once: every neuron of one layer, each alone, on one language's windows."""

    language: str
    layer: int
    windows: tuple[EncodedDocument, ...]

    @property
    def place(self) -> TextLayer:
        """Language and layer."""
        return self.language, self.layer


@dataclass(frozen=True)
class AblateWork(Work[LayerOfText, tuple[TextLayer, NDArray[np.float64], int]]):
    """Ablate layers on text: the summed changes of NLL in nats [N], and the forward tokens they cost."""

    def begin(
        self, worker: Worker, seen: Seen
    ) -> Callable[[LayerOfText], Iterator[tuple[TextLayer, NDArray[np.float64], int]]]:
        """Return what ablates; weights coarser than float32 are widened once."""
        ablator = Ablator(worker.loaded.model, worker.neuron_map, together=worker.loaded.together)

        def ablated(piece: LayerOfText) -> Iterator[tuple[TextLayer, NDArray[np.float64], int]]:
            yield piece.place, *ablator.layer(piece.layer, piece.windows, seen)

        return ablated

    def lost(self, piece: LayerOfText, reason: str) -> Iterator[tuple[TextLayer, NDArray[np.float64], int]]:
        """Raise `UsageError` naming language and layer."""
        raise UsageError(f"the ablations of layer {piece.layer} for {piece.language!r} are missing: {reason}")


def ablate(context: RunContext, recorded: Recorded) -> Recorded:
    """Return the evidence with every neuron's ablation measured, where a detector needs it.

    A registered file is taken where it is of this model and corpus and of at least as many tokens.
    """
    detectors = context.resolved.detectors.values()
    tokens = max([0, *(detector.ablation_tokens() for detector in detectors)])
    if not tokens:
        return recorded
    started = time.perf_counter()
    for name, path in shipped_files(context.plugins).items():
        found = load_ablation(path)
        enough = all(found.tokens(tag) >= tokens for tag in context.languages)
        if enough and found.is_of(context.worker) and found.metadata.get("corpus") == context.corpus.fingerprint:
            summary = f"measured before, on at least {tokens} tokens a language: {name}, {path.name}"
            context.listen(StageFinished(STAGE, time.perf_counter() - started, reused=True, summary=summary))
            return _with(recorded, {f"delta/{tag}": found.delta[tag] for tag in context.languages})
    made = ablations(context, tokens)
    tokens, dtype = recorded.tokens + made.forward_tokens, context.worker.dtype
    return replace(_with(recorded, made.loss_changes), tokens=tokens, dtype=dtype)


def ablations(context: RunContext, tokens: int) -> Ablation:
    """Return what every neuron alone costs every language of the run, on about `tokens` detection tokens of each.

    Every language's layer is kept in the store as it comes, so that `context.listen` may raise to stop.
    """
    started, worker = time.perf_counter(), context.worker
    layers, languages = worker.neuron_map.layers, context.languages
    width = sum(worker.neuron_map.layer_widths)
    context.listen(StageStarted(STAGE, width * len(languages), "neurons"))
    documents = {tag: list(context.corpus.documents(tag, "detect")) for tag in languages}
    chosen = choose_windows(worker.loaded.model, worker.loaded.tokenizer, documents, tokens)
    keeper = _Keeper(context, chosen)
    sums = {(tag, layer.index): keeper.get((tag, layer.index)) for tag in languages for layer in layers}
    for (_, layer), known in sums.items():
        if known is not None:
            context.listen(StageAdvanced(STAGE, layers[layer].width, 0))
    missing = [LayerOfText(tag, layer, chosen.windows[tag]) for (tag, layer), known in sums.items() if known is None]
    spent = 0
    seen = partial(_tell, context.listen)
    for place, delta, cost in context.executor.map(AblateWork(), missing, seen):
        keeper.put(place, delta)
        sums[place], spent = delta, spent + cost
        context.listen(StageAdvanced(STAGE, len(delta), 0))
    by_layer = {tag: [np.asarray(sums[tag, layer.index]) for layer in layers] for tag in languages}
    made = ablation_of(chosen, by_layer, spent)
    summary = f"{width:,} neurons, each alone, on {sum(made.tokens.values()):,} tokens in {len(languages)} languages"
    context.listen(StageFinished(STAGE, time.perf_counter() - started, not spent, summary))
    return made


def _tell(listen: Listener, tokens: int) -> None:
    listen(StageAdvanced(STAGE, 0, tokens))


def _with(recorded: Recorded, changes: Mapping[str, NDArray[np.float64]]) -> Recorded:
    return replace(recorded, evidence=replace(recorded.evidence, loss_changes=changes))


class _Keeper:
    """Finished layers in the store, under a key over model, text and layer."""

    def __init__(self, context: RunContext, chosen: Chosen) -> None:
        self._store, self._identity = context.store, dict(context.identity)
        self._widths = context.worker.neuron_map.layer_widths
        self._texts = {tag: text_digest(windows) for tag, windows in chosen.windows.items()}

    def get(self, place: TextLayer) -> NDArray[np.float64] | None:
        """Return a layer's summed changes, None when they were not measured."""
        width = self._widths[place[1]]
        return self._store.get("ablated", self._key(place), lambda payload: _layer(payload, width))

    def put(self, place: TextLayer, delta: NDArray[np.float64]) -> None:
        """Store a layer's summed changes."""
        self._store.put("ablated", self._key(place), delta.tolist())

    def _key(self, place: TextLayer) -> str:
        tag, layer = place
        return content_key(stage=STAGE, identity=self._identity, language=tag, text=self._texts[tag], layer=layer)


def _layer(payload: object, width: int) -> NDArray[np.float64]:
    """Read a layer's changes; raises `ValueError` for another number of neurons."""
    found = np.array(payload, dtype=np.float64)
    if found.shape != (width,):
        raise ValueError(f"{found.shape} is not a layer of {width} neurons")
    return found
