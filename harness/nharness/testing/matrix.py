"""The support matrix: every causal-LM architecture of transformers, located in a tiny random model.

`python -m nharness.testing.matrix FILE` writes it; a test holds the file in the documentation equal to what is found.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import transformers
from torch import nn

from nharness.atomic import write_bytes
from nharness.errors import ModelError, UsageError
from nharness.models import NeuronMap, locate
from nharness.models.dependence import dependence_of
from nharness.models.neuron_map import Segment
from nharness.testing.tiny import architectures, tiny_model

HEADER = (
    "model type",
    "feed-forward blocks",
    "gate reached by",
    "hidden reached by",
    "edits folded into weights",
    "measured",
)
BATCHED, ALONE, AHEAD, UNLESS = "in batches", "one row at a time", "refused: reads ahead", " unless is_decoder"


def support_matrix() -> str:
    """Return the matrix as Markdown; takes about a minute."""
    return render({name: describe(name) for name in architectures()})


def describe(model_type: str) -> tuple[str, ...]:
    """Return the row of one architecture, or why it is refused as a row of one cell."""
    try:
        model = tiny_model(model_type)
        return (*describe_map(model, locate(model)), describe_dependence(model_type, model))
    except ModelError as error:
        return (reason_of(error),)


def describe_dependence(model_type: str, model: nn.Module) -> str:
    """Return whether a model of the type's default configuration is measured, and how its rows are run."""
    found = dependence_of(model)
    if not found.later:
        return BATCHED if found.together is None else ALONE
    decoder = tiny_model(model_type, settings={"is_decoder": True}) if hasattr(model.config, "is_decoder") else model
    return AHEAD if dependence_of(decoder).later else AHEAD + UNLESS


def describe_map(model: nn.Module, neuron_map: NeuronMap) -> tuple[str, ...]:
    """Return the row of a model that was located."""
    segments = [segment for layer in neuron_map.layers for segment in layer.segments]
    names = [id(parameter) for _, parameter in model.named_parameters(remove_duplicate=False)]
    shared = any(names.count(id(model.get_parameter(segment.down.parameter))) > 1 for segment in segments)
    repeated = max(layer.passes for layer in neuron_map.layers)
    blocks = _joined(_kind(segment) for segment in segments) + (f"; run {repeated} times" if repeated > 1 else "")
    foldable = {segment.down.foldable and not shared for segment in segments}
    why = "no: shared weights" if shared else "no: normalised or re-shaped"
    return (blocks, _ways(segments, "gate"), _ways(segments, "hidden"), "yes" if foldable == {True} else why)


def reason_of(error: ModelError) -> str:
    """Return the reason of a refusal without the advice."""
    return str(error).partition("; give `plugins=`")[0]


def render(rows: dict[str, tuple[str, ...]]) -> str:
    """Return the document."""
    located = {name: row for name, row in rows.items() if len(row) == len(HEADER) - 1}
    refused = {name: row[0] for name, row in rows.items() if name not in located}
    ahead = sum(row[-1].startswith(AHEAD) for row in located.values())
    lines = [
        "# Which models are supported",
        "",
        f"Made with transformers {transformers.__version__}: of its {len(rows)} causal-LM types, {len(located)}",
        "are located, observed and edited exactly, which the tests check on a tiny random model of each. Sites are",
        "found by structure and one traced forward pass, never by name; what is not listed is tried in the same way.",
        "",
        "`module`: the site is what a module takes or gives. `following`: it is reached by following the data through",
        "the block, which costs a few microseconds per operation.",
        "",
        "`measured`: when it is loaded, every model is asked whether its logits depend on later tokens, or on the rows",
        f"beside it in a batch. The default configurations of {ahead} types read ahead, and are refused; those marked",
        f"`{AHEAD}{UNLESS}` are measured when their config.json says",
        '`"is_decoder": true`. A model whose rows change each other is run one row at a time, and so are rows longer',
        "than the original context of a model with longrope (phi3, minicpm3), whose frequencies follow the longest row",
        "of a batch. `batching` in the record says how a model was run.",
        "",
        f"| {' | '.join(HEADER)} |",
        "|" + "---|" * len(HEADER),
        *(f"| {name} | {' | '.join(row)} |" for name, row in located.items()),
        "",
        "## Refused",
        "",
        "| model type | reason |",
        "|---|---|",
        *(f"| {name} | {reason} |" for name, reason in refused.items()),
        "",
    ]
    return "\n".join(lines)


def _kind(segment: Segment) -> str:
    gate = "gated" if segment.gated else "plain"
    return f"{gate}, experts" if segment.routed else gate


def _ways(segments: Sequence[Segment], site: str) -> str:
    return _joined("following" if segment.tap(site) is None else "module" for segment in segments)


def _joined(parts: Iterable[str]) -> str:
    return " + ".join(dict.fromkeys(parts))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise UsageError("usage: python -m nharness.testing.matrix FILE")
    write_bytes(Path(sys.argv[1]), support_matrix().encode())
