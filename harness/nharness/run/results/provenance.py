"""The parts of a record that describe what went in: model, text, detector, neurons, software.

Legend: `G` languages, `L` layers, `M` neurons of the model.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from nharness.intervention import Intervention as Method
from nharness.neurons import KINDS, Detection, Kind
from nharness.record.cells import Task
from nharness.record.detection import KindCounts, LayerProfile, Neurons
from nharness.record.headline import Repeat, Repeats
from nharness.record.results import DetectorCost
from nharness.record.sources import (
    Corpus,
    Detector,
    Environment,
    Intervention,
    Model,
    NharnessSource,
    PluginSource,
    Source,
)
from nharness.recording import ACCUMULATORS, Accumulator
from nharness.run.context import RunContext
from nharness.run.plan.plan import Plan
from nharness.run.plan.resolve import FromFile, Resolved, origin_of, plugin_of
from nharness.run.stages.detect import Detected
from nharness.run.stages.editions import Editions
from nharness.run.stages.record import Recorded
from nharness.run.versions import installed
from nharness.run.work.jobs import neurons_digest
from nharness.run.work.texts import describe_split, find_overlap
from nharness.run.work.worker import Worker
from nharness.sources import engine_digest, is_modified, source_digest
from nharness.spec import RunSpec, public_name

NOISE_FLOOR_ON = "the control sample in other batches: the longest documents beside the shortest"


def describe_environment(device: torch.device, *, used: str, lm_eval: bool) -> Environment:
    """Return the software and the machine that numbers came from; lm-eval is named only where a task needed it.

    device: of this process. used: the kind that computed the numbers, maybe on other machines.
    """
    elsewhere = None if used in {"cpu", device.type} else f"{used} of another machine"
    return Environment(
        python=platform.python_version(),
        nharness=installed("nharness"),
        torch=torch.__version__,
        transformers=installed("transformers"),
        lm_eval=installed("lm_eval") if lm_eval else None,
        platform=f"{platform.system()} {platform.machine()}",
        cpu=_processor(),
        gpu=torch.cuda.get_device_name(device) if device.type == used == "cuda" else elsewhere,
        threads=torch.get_num_threads(),
        deterministic=torch.are_deterministic_algorithms_enabled(),
    )


def describe_neurons(detection: Detection, *, file: str | None, sha256: str | None) -> Neurons:
    """Return how many neurons there are, of which kind, where, and how languages share them."""
    counts = {tag: int(row.sum()) for tag, row in zip(detection.languages, detection.membership, strict=True)}
    kinds_all = None if detection.candidates is None else detection.kinds(over="all")
    return Neurons(
        file=file,
        sha256=sha256,
        total=detection.size,
        selected=int(detection.membership.any(axis=0).sum()),
        per_language=counts,
        kinds_selected=_kind_counts(detection.kinds()),
        kinds_all=None if kinds_all is None else _kind_counts(kinds_all),
        layers=LayerProfile(
            languages={
                tag: _per_layer(row, detection.layer_widths)
                for tag, row in zip(detection.languages, detection.membership, strict=True)
            },
            kinds_selected=_kind_layers(detection.kinds(), detection.layer_widths),
            kinds_all=None if kinds_all is None else _kind_layers(kinds_all, detection.layer_widths),
        ),
        overlap=_jaccard(detection.membership),
    )


def _processor() -> str | None:
    listed = Path("/proc/cpuinfo")
    if listed.exists():
        with listed.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip() or None
    return platform.processor() or None


def _kind_counts(kinds: NDArray[np.int8]) -> KindCounts:
    counts = np.bincount(kinds, minlength=len(KINDS))
    return KindCounts(**{kind: int(counts[place]) for place, kind in enumerate(KINDS)})


def _kind_layers(kinds: NDArray[np.int8], widths: Sequence[int]) -> dict[Kind, tuple[int, ...]]:
    return {kind: _per_layer(kinds == place, widths) for place, kind in enumerate(KINDS)}


def _per_layer(marked: NDArray[np.bool_], widths: Sequence[int]) -> tuple[int, ...]:
    starts = np.cumsum([0, *widths[:-1]])
    return tuple(int(count) for count in np.add.reduceat(marked.astype(np.int64), starts))


def _jaccard(membership: NDArray[np.bool_]) -> tuple[tuple[float | None, ...], ...]:
    """Return shared / united neurons [G, G] of every two languages; None where both have none."""
    numbers = membership.astype(np.int64)
    shared = numbers @ numbers.T
    own = np.diag(shared)
    united = own[:, None] + own[None, :] - shared
    return tuple(
        tuple(float(s) / float(u) if u else None for s, u in zip(row, union, strict=True))
        for row, union in zip(shared, united, strict=True)
    )


def describe_tasks(plan: Plan, resolved: Resolved, worker: Worker | None = None) -> tuple[Task, ...]:
    """Return the tasks of a plan, one per name, with the languages it is measured in, in order.

    worker: tells what only the model does, such as who scores.
    """
    languages: dict[str, list[str]] = {}
    for name, language in plan.tasks:
        languages.setdefault(name, []).append(language)
    found = []
    for name, tags in languages.items():
        task = plan.tasks[name, tags[0]]
        plugin, distribution = plugin_of("tasks", task.family, resolved.plugins)
        described = {
            "name": task.name,
            "family": task.family,
            "plugin": None if plugin == "-" else plugin,
            "distribution": distribution,
            "metric": task.metric,
            "unit": task.unit,
            "version": task.version,
            "direction": "higher" if task.higher_is_better else "lower",
            "languages": tuple(tags),
            "few_shot": task.num_fewshot or 0,
            "limit": task.limit,
            "chance": task.chance,
        }
        told = {} if worker is None else worker.described(task)
        found.append(Task.model_validate({**described, **resolved.runner(task).described(task, resolved.spec), **told}))
    return tuple(found)


def describe_model(worker: Worker, device: str, recorded: str | None = None) -> Model:
    """Return the model as it was before any edit, and the kind of device that its numbers were computed on.

    recorded: type of the weights while the neurons were found, None where they were not found here.
    """
    spec, loaded = worker.resolved.spec.model, worker.loaded
    return Model(
        name=public_name(spec.name),
        revision=loaded.revision,
        fingerprint=loaded.fingerprint,
        tokenizer_fingerprint=loaded.tokenizer_fingerprint,
        architecture=type(loaded.model).__name__,
        parameters=loaded.model.num_parameters(),
        layer_widths=worker.neuron_map.layer_widths,
        dtype=worker.dtype,
        record_dtype=recorded,
        device=device,
        checkpoint=loaded.checkpoint or None,
        adapters=(),
        batching=loaded.batching(spec.max_length),
        noise_floor_on=NOISE_FLOOR_ON,
        args=_public(spec.args),
    )


def _public(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: public_name(value) if isinstance(value, str) else value for name, value in values.items()}


def describe_source(resolved: Resolved, detector: str) -> Source:
    """Return the source code that a detector's numbers are made by: nharness, and each plug-in that took part."""
    used: list[tuple[str, str, object]] = [("detectors", detector, resolved.detectors[detector])]
    used += [("interventions", name, found) for name, found in resolved.interventions.items()]
    plugins = {}
    for kind, name, found in used:
        module, distribution = plugin_of(kind, name, resolved.plugins)
        label, _, version = (distribution or module).partition(" ")
        digest = source_digest(found) or None
        plugins[label, digest] = PluginSource(distribution=label, version=version or None, digest=digest)
    return Source(
        nharness=NharnessSource(
            version=installed("nharness"), digest=engine_digest(), modified=is_modified("nharness")
        ),
        plugins=tuple(plugins.values()),
    )


def public_specification(spec: RunSpec) -> dict[str, Any]:
    """Return a specification without what is the machine's own: folders by their names alone."""
    document = spec.model_dump(mode="json")
    document["model"]["name"] = public_name(spec.model.name)
    document["model"]["args"] = _public(spec.model.args)
    document["corpus"]["name"] = public_name(spec.corpus.name)
    options = document["task_options"]
    options["include_path"] = [public_name(name) for name in spec.task_options.include_path]
    options["dataset_dir"] = spec.task_options.dataset_dir and public_name(spec.task_options.dataset_dir)
    document["detectors"] = [each for each in document["detectors"] if not each["name"].startswith("file:")]
    return document


def describe_corpus(context: RunContext, recorded: Recorded) -> Corpus:
    """Return the text that was used, and which evaluation documents also stand in the detection text."""
    corpus, languages = context.corpus, context.languages
    texts = {tag: context.worker.text(tag) for tag in languages}
    used = {(tag, "detect"): frozenset(recorded.documents.get(tag, ())) for tag in languages}
    used |= {(tag, "eval"): frozenset(document.id for document in texts[tag].documents) for tag in languages}
    return Corpus(
        name=corpus.name,
        fingerprint=corpus.fingerprint,
        licence=corpus.notes.get("licence"),
        splits=(*recorded.splits, *(describe_split(text, "eval") for text in texts.values())),
        overlap=tuple(find_overlap(corpus, languages, used)),
    )


def describe_detector(resolved: Resolved, name: str, detected: Detected) -> Detector:
    """Return the detector with its options and where it came from; of a neurons file, what the file says of itself."""
    found, detection = resolved.detectors[name], detected.detection
    plugin, distribution = origin_of("detectors", name, found, resolved.plugins)
    read = {"detector": found.detection_read.detector, **detection.options} if isinstance(found, FromFile) else None
    return Detector(
        name=name,
        version=str(detection.provenance.get("detector_version", found.version)),
        plugin=plugin,
        distribution=distribution,
        seconds=detected.seconds,
        options=found.options.model_dump(mode="json", by_alias=True) if read is None else read,
        tokens=detection.provenance.get("detection_tokens"),
    )


def describe_cost(resolved: Resolved, name: str, recorded: Recorded) -> DetectorCost | None:
    """Return what a detector alone needs of the model, wherever it came from; None of a neurons file.

    A backward pass counts as two forward ones, and what needs none goes along with the first; a neuron ablated alone
    counts as a forward pass.
    """
    found = resolved.detectors[name]
    if isinstance(found, FromFile):
        return None
    tokens = sum(totals.tokens for totals in recorded.evidence.any.totals.values()) if found.needs() else 0
    kinds = [_accumulator(need.statistic, resolved) for need in found.needs()]
    gradients = {kind.gradient for kind in kinds if kind.gradient}
    passes = 3 * len(gradients) if gradients else 1
    ablated = found.ablation_tokens() * len(recorded.evidence.languages) * sum(recorded.evidence.layer_widths)
    return DetectorCost(tokens=tokens * passes + ablated)


def _accumulator(statistic: str, resolved: Resolved) -> type[Accumulator]:
    found: type[Accumulator] = ACCUMULATORS.get(statistic) or resolved.plugins.resolve("statistics", statistic)
    return found


def describe_repeats(editions: Editions, name: str) -> Repeats | None:
    """Return what is known of the repeats of a detection; None where it was not repeated."""
    repeats = editions.repeats.get(name, ())
    parts = tuple(
        Repeat(
            name=f"fold-{number}",
            tokens=each.provenance.get("detection_tokens"),
            neurons={tag: len(each.flat(tag)) for tag in each.languages},
            digests={tag: neurons_digest(each.flat(tag)) for tag in each.languages},
        )
        for number, each in enumerate(repeats)
    )
    return Repeats(kind="folds", parts=parts) if parts else None


def describe_intervention(
    found: Method, strength: float | None, site: Literal["gate", "hidden"], backend: str, resolved: Resolved
) -> Intervention:
    """Return the intervention with its options, where it came from, and how it was applied."""
    plugin, distribution = origin_of("interventions", found.name, found, resolved.plugins)
    return Intervention(
        name=found.name,
        purpose=found.purpose,
        source=resolved.spec.source_language if found.needs_source else None,
        version=found.version,
        plugin=plugin,
        distribution=distribution,
        options=found.options.model_dump(mode="json"),
        strength=strength,
        site=site,
        backend=backend,
        scope=resolved.spec.scope,
    )
