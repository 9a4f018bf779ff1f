"""Three names for a notebook: where a model's neurons are, the model with some of them edited, and that model written.

    nharness.locate(model)                                       # every neuron
    nharness.locate(model, "neurons.safetensors", language="zh").selected
    with nharness.apply(model, [(11, 42), (11, 107)]): ...       # (layer, unit), switched off
    with nharness.apply(model, "neurons.safetensors", language="zh", intervention="mean", statistics="hidden.st"): ...
    nharness.export(model, "neurons.safetensors", "without-chinese", language="zh")

`model` is any transformers model object; files are what `nharness detect` and `nharness record` write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import nn
from transformers import PreTrainedModel

from nharness.detector import Evidence
from nharness.errors import UsageError
from nharness.intervention import Target
from nharness.languages import parse_language
from nharness.models import EditReport, NeuronMap, apply_edits, export_edited, export_steered
from nharness.models import locate as locate_neurons
from nharness.models.edit import Scope
from nharness.neurons import load as load_neurons
from nharness.neurons import same_model, to_flat, to_pairs
from nharness.plugins import Plugins
from nharness.run.plan.resolve import load_intervention
from nharness.run.single import changes_for, read_evidence, target_of
from nharness.run.work.edits import to_edits
from nharness.spec import Named
from nharness.targets import GENERAL

Neurons = Sequence[tuple[int, int]] | str | Path
Files = str | Path | Sequence[str | Path]


def locate(
    model: nn.Module, neurons: Neurons | None = None, *, language: str | None = None, plugins: Plugins | None = None
) -> NeuronMap:
    """Return where the neurons of `model` are, one layer of the map per feed-forward layer, in order.

    `neurons` are (layer, unit) pairs, or a neurons file of which those of `language` are taken; they are the map's
    `selected`. Architectures of plug-ins (by default those installed) are asked before the structure is. Raises what
    `nharness.models.locate` raises, and `UsageError` for a file that is absent, damaged, of a model of other widths or
    without the language, and for a pair outside the model.
    """
    found = plugins or Plugins()
    architectures = [found.resolve("architectures", name) for name in found.entries("architectures")]
    neuron_map = locate_neurons(model, architectures)
    if neurons is None:
        if language is not None:
            raise UsageError(f"language {language!r} of which neurons file? Give neurons=FILE")
        return neuron_map
    target, _ = _asked(neurons, language, neuron_map, ())
    pairs = to_pairs(target.flat, neuron_map.layer_widths)
    selected = [pairs[pairs[:, 0] == layer.index, 1].tolist() for layer in neuron_map.layers]
    return replace(neuron_map, selected=tuple(map(tuple, selected)))


@contextmanager
def apply(
    model: nn.Module,
    neurons: Neurons,
    *,
    language: str | None = None,
    intervention: str = "zero",
    options: Mapping[str, Any] | None = None,
    site: str | None = None,
    statistics: Files = (),
    scope: Scope = "all",
) -> Iterator[EditReport]:
    """Edit `neurons` of any transformers model in place inside the context, and undo it bit for bit on leaving.

    `neurons` and `language` are those of `locate`; `intervention` and `options` those of `nharness run`
    (`"scale"`, `{"factor": 0.5}`); `site` is where the value is set (default: where the intervention sets it);
    `statistics` are files for an intervention that needs some (`mean`). `scope="generation"` edits only tokens after a
    prompt held in a cache. Raises `UsageError` in one sentence for anything that does not fit.
    """
    plugins = Plugins()
    neuron_map = locate(model, plugins=plugins)
    made = load_intervention(Named(name=intervention, options=dict(options or {})), plugins)
    target, evidence = _asked(neurons, language, neuron_map, statistics)
    edits = to_edits(changes_for(made, target, evidence, site), neuron_map)
    with apply_edits(model, neuron_map, edits, scope=scope) as report:
        yield report


def export(
    model: PreTrainedModel,
    neurons: Neurons,
    out: str | Path,
    *,
    language: str | None = None,
    intervention: str = "zero",
    options: Mapping[str, Any] | None = None,
    statistics: Files = (),
    form: Literal["checkpoint", "steered"] = "checkpoint",
) -> None:
    """Write `model` with `neurons` edited; what is named like in `apply` is the same here.

    form: a checkpoint is a folder that plain transformers loads (save the tokenizer beside it); "steered" is a file
    for lm-eval's model of that name. Raises `ModelError` where the form cannot express the edit, `OutputError` for a
    folder that holds something.
    """
    plugins = Plugins()
    neuron_map = locate(model, plugins=plugins)
    made = load_intervention(Named(name=intervention, options=dict(options or {})), plugins)
    target, evidence = _asked(neurons, language, neuron_map, statistics)
    edits = to_edits(changes_for(made, target, evidence), neuron_map)
    if form == "steered":
        export_steered(model, neuron_map, edits, Path(out))
    else:
        export_edited(model, None, neuron_map, edits, Path(out))


def _asked(neurons: Neurons, language: str | None, neuron_map: NeuronMap, statistics: Files) -> tuple[Target, Evidence]:
    """Return the neurons meant, pairs or those of one language of a file, and what is known of the languages."""
    files = [statistics] if isinstance(statistics, str | Path) else statistics
    paths = [Path(file) for file in files]
    if isinstance(neurons, str | Path):
        if language is None:
            raise UsageError(f"{neurons} holds several languages; choose one with language=...")
        detection = load_neurons(Path(neurons))
        same_model(detection, neuron_map, what=f"the neurons of {neurons}")
        evidence = read_evidence(paths, neuron_map, detection.languages)
        return target_of(detection, language, evidence), evidence
    pairs = np.array([tuple(pair) for pair in neurons], dtype=np.int64).reshape(-1, 2)
    flat = np.unique(to_flat(pairs, neuron_map.layer_widths))
    tag = GENERAL if language is None else parse_language(language)
    return Target(tag, flat), read_evidence(paths, neuron_map, ())
