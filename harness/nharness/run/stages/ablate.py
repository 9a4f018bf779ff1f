"""The ablation stage of a run: measured where a detector wants it, taken from the store or a shipped file where known.

Legend: `G` languages, `M` neurons of the model.

File: safetensors, format `nharness-ablation/1`: `delta/<lang>` float32 [M], nats per token; metadata: fingerprints of
model, tokenizer and corpus, `layer_widths`, `languages: {<lang>: {"tokens": n}}`, the window, and `split`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nharness.ablation.engine import WINDOW, Ablation, Ablator
from nharness.detector import Detector
from nharness.errors import FileFormatError
from nharness.events import Listener, StageAdvanced, StageFinished, StageStarted
from nharness.plugins import Plugins
from nharness.run.stages.record import Recorded
from nharness.run.store import Store, content_key
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
    tensors = {name: delta.astype(np.float32) for name, delta in ablation.losses.items()}
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
    targets = {name: registered.entry.target for name, registered in plugins.entries("truths").items()}
    return {name: target for name, target in targets.items() if isinstance(target, Path) and target.is_file()}


def measure_losses(
    worker: Worker, detectors: Mapping[str, Detector], recorded: Recorded, store: Store, listen: Listener
) -> Recorded:
    """Return the evidence with every neuron's ablation measured, where a detector wants it.

    A registered file is taken where it is of this model and corpus and of at least as many tokens. What was measured is
    in the store, so that `listen` may raise to stop.
    """
    tokens = max([0, *(detector.ablation_tokens() for detector in detectors.values())])
    if not tokens:
        return recorded
    started = time.perf_counter()
    languages, corpus = worker.resolved.languages, worker.resolved.corpus
    for name, path in shipped_files(worker.resolved.plugins).items():
        found = load_ablation(path)
        enough = all(found.tokens(tag) >= tokens for tag in languages)
        if enough and found.is_of(worker) and found.metadata.get("corpus") == corpus.fingerprint:
            summary = f"measured before, on at least {tokens} tokens a language: {name}, {path.name}"
            listen(StageFinished(STAGE, time.perf_counter() - started, reused=True, summary=summary))
            return _with(recorded, {f"delta/{tag}": found.delta[tag] for tag in languages})
    width = sum(worker.neuron_map.layer_widths)
    listen(StageStarted(STAGE, width * len(languages), "neurons"))

    ablator = Ablator(
        worker.loaded.model,
        worker.loaded.tokenizer,
        worker.neuron_map,
        together=worker.loaded.together,
        keeper=StoreKeeper(store, worker),
        advanced=lambda neurons, tokens: listen(StageAdvanced(STAGE, neurons, tokens)),
    )
    made = ablator.measure({tag: list(corpus.documents(tag, "detect")) for tag in languages}, tokens)
    summary = f"{width:,} neurons, each alone, on {sum(made.tokens.values()):,} tokens in {len(languages)} languages"
    listen(StageFinished(STAGE, time.perf_counter() - started, not made.forward_tokens, summary))
    return replace(_with(recorded, made.losses), tokens=recorded.tokens + made.forward_tokens)


def _with(recorded: Recorded, losses: Mapping[str, NDArray[np.float64]]) -> Recorded:
    return replace(recorded, evidence=replace(recorded.evidence, losses=losses))


class StoreKeeper:
    """Finished parts in the store, under a key over model, text and layer."""

    def __init__(self, store: Store, worker: Worker) -> None:
        self._store, self._identity = store, worker.identity

    def get(self, language: str, digest: str, layer: int) -> NDArray[np.float64] | None:
        """Return a layer's summed changes, None when they were not measured."""
        found = self._store.get("ablated", self._key(language, digest, layer))
        return None if found is None else np.array(found, dtype=np.float64)

    def put(self, language: str, digest: str, layer: int, delta: NDArray[np.float64]) -> None:
        """Keep them."""
        self._store.put("ablated", self._key(language, digest, layer), delta.tolist())

    def _key(self, language: str, digest: str, layer: int) -> str:
        return content_key(stage="ablate", identity=self._identity, language=language, text=digest, layer=layer)
