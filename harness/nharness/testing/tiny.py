"""Tiny random models of every causal-LM architecture that transformers knows, built from their configs alone.

For all tests that work with models (a plug-in's too): no download, milliseconds to build, the same weights
for the same seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from nharness.errors import ModelError, UnknownNameError
from nharness.testing.tiny_sizes import BY_MODEL, BY_NAME, DEFAULT, LATENT_ATTENTION, PARTS, UNBUILDABLE

VOCABULARY = 99
TINY = ("llama", "gpt2", "mixtral", "gemma3_text", "bloom", "phi3")
"""Six kinds of feed-forward block: gated, plain, experts, another activation, time first, fused projections."""


def architectures() -> tuple[str, ...]:
    """Return the model types of transformers' causal language models, sorted."""
    return tuple(sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES))


def tiny_config(model_type: str) -> PretrainedConfig:
    """Return a config of `model_type` in which every size is small: two layers, width 32, vocabulary 99.

    An unknown model type raises UnknownNameError with the nearest known one, one that cannot be made small ModelError.
    """
    if model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise UnknownNameError("model type", model_type, architectures())
    if model_type in UNBUILDABLE:
        raise ModelError(f"{model_type} cannot be built tiny: {UNBUILDABLE[model_type]}")
    return _config(CONFIG_MAPPING[model_type], model_type)


def tiny_model(
    model_type: str, seed: int = 0, *, settings: Mapping[str, Any] = MappingProxyType({})
) -> PreTrainedModel:
    """Return a tiny model of `model_type` in evaluation mode, float32, its weights drawn with `seed`.

    settings: of its config, beside the sizes (`is_decoder`, say).
    All weights are redrawn from a normal distribution, biases and norms included, so that nothing is zero by
    initialisation and an edit shows. The global random state is left as it was.
    """
    config = tiny_config(model_type)
    config.update(dict(settings))
    part = PARTS.get(model_type)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        automatic: Any = AutoModelForCausalLM
        if part is None:
            model: PreTrainedModel = automatic.from_config(config).float().eval()
        else:
            kind = getattr(transformers, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[model_type])
            model = kind(getattr(config, part)).float().eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(0.0, 0.1) if parameter.ndim > 1 else parameter.uniform_(0.5, 1.0)
    return model


def _config(kind: type[PretrainedConfig], model_type: str) -> PretrainedConfig:
    """Return a small config, sub-configs included."""
    sizes = dict(_sizes(kind, BY_MODEL.get(model_type, {})))
    for name, declared in getattr(kind, "sub_configs", {}).items():
        override = sizes.get(name, {})
        sub_kind = _sub_kind(kind, name, declared, override)
        if isinstance(override, Mapping) and sub_kind is not None:
            sizes[name] = {"model_type": sub_kind.model_type, **_sizes(sub_kind, override)}
    return kind(**sizes)


def _sub_kind(
    kind: type[PretrainedConfig], name: str, declared: Any, override: Mapping[str, Any]
) -> type[PretrainedConfig] | None:
    """Return the class of a sub-config; one that may be of any class is what the config makes by itself."""
    if isinstance(declared, type) and issubclass(declared, PretrainedConfig):
        return declared
    if "model_type" in override:
        return CONFIG_MAPPING[override["model_type"]]
    made = getattr(kind(), name, None)
    return type(made) if isinstance(made, PretrainedConfig) else None


def _sizes(kind: type[PretrainedConfig], override: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the small value of every size that a config class has."""
    try:
        known = kind().to_dict()
    except (ValueError, TypeError):
        known = dict.fromkeys(kind.__dataclass_fields__)
    found = {name: value for name, value in BY_NAME.items() if name in known}
    if "kv_lora_rank" in known:
        found.update(LATENT_ATTENTION)
    return {name: value for name, value in {**found, **override}.items() if value is not DEFAULT}
