"""Write an edited model as a checkpoint that plain transformers loads, and that gives the same logits."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from nharness.atomic import check_writable
from nharness.errors import ModelError, OutputError
from nharness.models.edit import AnyEdit, plan_edits
from nharness.models.folding import fold_edits, why_not_foldable
from nharness.models.neuron_map import NeuronMap
from nharness.replacing import replaced

# Switches by which configs give feed-forward blocks a bias; which of them fits is found by building the model.
BIAS_SWITCHES = ("mlp_bias", "use_bias", "use_mlp_bias", "ffn_bias", "bias")


def export_edited(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    neuron_map: NeuronMap,
    edits: Sequence[AnyEdit],
    folder: Path,
) -> None:
    """Write `model` with `edits` folded into its weights, and its tokenizer, into `folder`.

    The model itself is left as it was. Constants need biases in the down projections: where the architecture has none
    and its config cannot ask for them, and where an edit cannot be folded at all, ModelError says so. A folder that
    holds something already raises OutputError.
    """
    plan = plan_edits(neuron_map, edits)
    if not plan:
        raise ModelError("nothing to export: the edit names no neurons")
    reason = why_not_foldable(model, neuron_map, plan) or _why_not_writable(model)
    if reason is not None:
        raise ModelError(f"this edit cannot be written as weights: {reason}")
    if folder.is_dir() and any(folder.iterdir()):
        raise OutputError(f"{folder} is not empty; choose another folder")
    check_writable(folder)
    before = _names(model)
    with fold_edits(model, neuron_map, plan), _config_with_biases(model, before) as state:
        model.save_pretrained(folder, state_dict=state)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)


def _why_not_writable(model: nn.Module) -> str | None:
    """Return why the model's weights cannot be written as plain numbers, or None when they can."""
    offloaded = next((name for name, parameter in model.named_parameters() if parameter.is_meta), None)
    if offloaded is not None:
        return f"{offloaded} is offloaded; load the model without device_map"
    if getattr(model, "is_quantized", False):
        return f"{type(model).__name__} is quantised; export from the model that is not"
    return None


def _names(model: nn.Module) -> set[str]:
    return {name for name, _ in model.named_parameters(remove_duplicate=False)}


@contextmanager
def _config_with_biases(model: PreTrainedModel, before: set[str]) -> Iterator[dict[str, Tensor]]:
    """Yield the state to save while the config says which biases there are; put the config back."""
    state: dict[str, Tensor] = dict(model.state_dict())
    wanted = _names(model)
    if wanted == before:
        yield state
        return
    for switch in BIAS_SWITCHES:
        config = _switched(model.config, switch)
        zeros = None if config is None else _absent_biases(model, config, wanted)
        if config is None or zeros is None:
            continue
        with replaced(model, "config", config):
            yield {**state, **zeros}
        return
    raise ModelError(
        f"constants need a bias in the down projection, and {type(model.config).__name__} cannot express one for "
        f"{type(model).__name__}; export an edit that only scales, or keep the edit as hooks"
    )


def _switched(config: Any, switch: str) -> Any | None:
    """Return the config with a bias switch turned on; None when it has no such switch, or has it on."""
    if getattr(config, switch, None) is not False:
        return None
    changed = copy.deepcopy(config)
    setattr(changed, switch, True)
    return changed


def _absent_biases(model: PreTrainedModel, config: Any, wanted: set[str]) -> dict[str, Tensor] | None:
    """Return zeros for the biases that the config brings beside those wanted; None when it does not fit otherwise."""
    with torch.device("meta"):
        built = type(model)(config)
    shapes = {name: parameter.shape for name, parameter in built.named_parameters(remove_duplicate=False)}
    extra = set(shapes) - wanted
    if wanted - set(shapes) or not all(name.endswith(".bias") for name in extra):
        return None
    like = next(model.parameters())
    return {name: torch.zeros(shapes[name], dtype=like.dtype) for name in sorted(extra)}
