"""Ground truth: every detector of a run held against neurons whose role is known.

Legend: `G` languages, `M` neurons of the model.

1. A file of measured ablations is a truth for the model it was measured on: a neuron is a language's own by how much
   more its loss rises than the other languages' do, and the largest 1 % above 0 are the true ones.
2. A known model is a truth for detectors as such: they run on it, on its own text, with the options of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from nharness.ablation.engine import Ablator
from nharness.analysis.ground_truth import TRUE_SHARE, Truth, against_truth, own_effect
from nharness.corpora import Corpus, EncodingPolicy
from nharness.detector import Detector, Evidence
from nharness.errors import NharnessError, PluginError, UsageError
from nharness.events import Noted
from nharness.models import locate
from nharness.neurons import Detection
from nharness.plugins import Plugins
from nharness.record.results import GroundTruth
from nharness.recording import Text, record
from nharness.run.context import RunContext
from nharness.run.stages.ablate import load_ablation
from nharness.run.stages.detect import Detected
from nharness.run.work.executor import Seen, Work, unheard
from nharness.run.work.worker import Worker


class KnownModel(Protocol):
    """A model with its text, and what is known of its neurons."""

    @property
    def model(self) -> Any: ...  # noqa: D102
    @property
    def tokenizer(self) -> Any: ...  # noqa: D102
    @property
    def corpus(self) -> Corpus: ...  # noqa: D102
    @property
    def truth(self) -> Truth: ...  # noqa: D102


@dataclass(frozen=True)
class HeldAgainst:
    """A truth, what every detector found where it holds, and why some could not be held against it."""

    truth: Truth
    detections: Mapping[str, Detection]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TruthWork(Work[str, HeldAgainst]):
    """Run the detectors of the run on known models, each named by the truth that is registered for it."""

    in_order = True

    def begin(self, worker: Worker, seen: Seen) -> Callable[[str], Iterator[HeldAgainst]]:
        """Return what makes a known model and detects on it; `seen` is not told: these tokens are not the run's."""
        del seen
        resolved = worker.resolved

        def held(name: str) -> Iterator[HeldAgainst]:
            known = resolved.plugins.resolve("truths", name)()
            yield detect_on(known, resolved.detectors, resolved.plugins)

        return held


def score_detectors(context: RunContext, detected: Mapping[str, Detected]) -> dict[str, tuple[GroundTruth, ...]]:
    """Return every detector's scores against every registered truth that can be applied; others are noted."""
    scores: dict[str, list[GroundTruth]] = {name: [] for name in detected}
    for held in _truths(context, detected):
        for text in held.notes:
            context.listen(Noted("note", text))
        for detector, detection in held.detections.items():
            if detector in scores:
                scores[detector].append(against_truth(detection, held.truth))
    return {name: tuple(found) for name, found in scores.items()}


def _truths(context: RunContext, detected: Mapping[str, Detected]) -> Iterator[HeldAgainst]:
    """Yield truths in the order in which they were registered."""
    files = {name: each.entry.value for name, each in context.plugins.entries("truths").items()}
    models = [name for name, value in files.items() if not isinstance(value, Path)]
    held = context.executor.map(TruthWork(), models, unheard)
    for name, value in files.items():
        if not isinstance(value, Path):
            yield next(held)
            continue
        truth = _measured(name, value, context)
        if truth is not None:
            yield HeldAgainst(truth, {key: found.detection for key, found in detected.items()})


def detect_on(known: KnownModel, detectors: Mapping[str, Detector], plugins: Plugins) -> HeldAgainst:
    """Return what every detector finds in a known model; one that cannot run there is noted and left out."""
    evidence = evidence_of(known, detectors, plugins)
    found, notes = {}, []
    for name, detector in detectors.items():
        try:
            found[name] = detector(evidence)
        except NharnessError as error:
            notes.append(f"{name} is not scored against ground truth {known.truth.name}: {error}")
    return HeldAgainst(known.truth, found, tuple(notes))


def evidence_of(known: KnownModel, detectors: Mapping[str, Detector], plugins: Plugins) -> Evidence:
    """Return what detectors need, recorded on a known model's detection text; ablations where one needs them."""
    needs = list(dict.fromkeys(need for detector in detectors.values() for need in detector.needs()))
    documents = {tag: list(known.corpus.documents(tag, "detect")) for tag in known.truth.languages}
    neuron_map = locate(known.model)
    if neuron_map.layer_widths != known.truth.layer_widths:
        raise PluginError(f"ground truth {known.truth.name} has other layer widths than its model")
    sites = {}
    if needs:
        sites = record(
            known.model,
            neuron_map,
            Text(known.tokenizer, documents, EncodingPolicy()),
            needs,
            accumulators={name: plugins.resolve("statistics", name) for name in plugins.entries("statistics")},
        )
    tokens = max([0, *(detector.ablation_tokens() for detector in detectors.values())])
    if not tokens:
        return Evidence(sites)
    return Evidence(
        sites, loss_changes=Ablator(known.model, neuron_map).measure(known.tokenizer, documents, tokens).loss_changes
    )


def _measured(name: str, path: Path, context: RunContext) -> Truth | None:
    worker = context.worker
    if not path.is_file():
        context.listen(Noted("note", f"ground truth {name} was not measured: {path.name} is missing"))
        return None
    found = load_ablation(path)
    languages: Sequence[str] = [tag for tag in context.languages if tag in found.delta]
    if not found.is_of(worker) or len(languages) < 2:
        context.listen(Noted("note", f"ground truth {name} is left out: it is of another model or other languages"))
        return None
    if found.layer_widths != worker.neuron_map.layer_widths:
        raise UsageError(f"{path}: its layer widths are not those of the model it names")
    effect = own_effect(np.stack([found.delta[tag] for tag in languages]))
    return Truth.from_effects(name, languages, found.layer_widths, effect, share=TRUE_SHARE)
