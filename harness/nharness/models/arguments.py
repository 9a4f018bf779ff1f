"""The arguments that load a model, in lm-eval's words; one that would have no effect is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import BitsAndBytesConfig
from transformers.utils.import_utils import is_bitsandbytes_available

from nharness.errors import ModelError, OptionError
from nharness.models.source import Found, Scalar

BITS = ("load_in_8bit", "load_in_4bit")
PACKED = (".SCB", ".absmax", ".quant_state")  # what lies beside weights that bitsandbytes wrote
OURS = ("dtype", "tokenizer", "trust_remote_code", "revision", *BITS)
"""Arguments that do not go to transformers as they are."""


def require_effect(found: Found, config: Mapping[str, Any], *, placed: bool) -> None:
    """Refuse an argument that changes nothing about the model that is loaded; placed: accelerate places the weights.

    Raises `OptionError` that says why it changes nothing.
    """
    args = found.args
    if found.folder is not None and "revision" in args:
        raise OptionError(
            f"revision={args['revision']} has no effect: {found.name} is a local folder, and only models on the hub "
            "have revisions"
        )
    if "offload_folder" in args and not placed:
        raise OptionError("offload_folder has no effect without a device map (--device-map auto)")
    if "experts_implementation" in args and not any("expert" in key for key in _keys(config)):
        raise OptionError(f"experts_implementation has no effect: {found.name} has no experts")


def require_one_dtype(args: Mapping[str, Scalar], dtype: str | torch.dtype) -> None:
    """Refuse two different types, one as an argument of the model and one beside it."""
    asked = str(dtype).removeprefix("torch.")
    given = str(args.get("dtype", asked)).removeprefix("torch.")
    if asked not in ("auto", given):
        raise OptionError(f"dtype is {given} among the model arguments and {asked} beside them; choose one")


def quantisation(name: str, args: Mapping[str, Scalar], config: Mapping[str, Any]) -> BitsAndBytesConfig | None:
    """Return how `load_in_8bit` or `load_in_4bit` quantise the weights; None where neither is asked for.

    Raises `OptionError` for both at once, `ModelError` for weights that are quantised already, and where bitsandbytes
    is not installed.
    """
    asked = [key for key in BITS if args.get(key)]
    if not asked:
        return None
    if len(asked) == 2:
        raise OptionError("load_in_8bit and load_in_4bit exclude each other; choose one")
    if config.get("quantization_config"):
        raise ModelError(f"{name} is already quantised, by its config.json; {asked[0]} would quantise it again")
    require_bitsandbytes(name)
    made: Any = BitsAndBytesConfig
    return made(load_in_8bit=asked[0] == BITS[0], load_in_4bit=asked[0] == BITS[1])  # type: ignore[no-any-return]


def require_bitsandbytes(name: str) -> None:
    """Refuse a model that bitsandbytes has to quantise where it is not installed."""
    if not is_bitsandbytes_available():
        raise ModelError(f"{name} is to be quantised by bitsandbytes, which is not installed: pip install bitsandbytes")


def require_packed(name: str, files: Sequence[Path]) -> None:
    """Refuse plain weights of which the configuration says that bitsandbytes has quantised them."""
    safe = [file for file in files if file.suffix == ".safetensors"]
    for file in safe:
        with safe_open(file, framework="pt") as opened:
            if any(mark in key for key in opened.keys() for mark in PACKED):  # noqa: SIM118 - no mapping
                return
    if safe:
        raise ModelError(
            f"config.json of {name} says that bitsandbytes quantised its weights, but they are plain numbers; remove "
            "quantization_config and quantise them with --model-args load_in_8bit=true (or 4bit)"
        )


def require_attention(args: Mapping[str, Scalar], place: torch.device | None) -> None:
    """Refuse an implementation of attention that a device has not; place is None where accelerate decides."""
    if args.get("attn_implementation") == "flex_attention" and place is not None and place.type == "cpu":
        raise OptionError(
            "attn_implementation=flex_attention needs an accelerator: on a CPU it has no gradients and is "
            "recompiled for every length; use sdpa or eager"
        )


def _keys(config: Mapping[str, Any]) -> set[str]:
    return set(config) | {key for each in config.values() if isinstance(each, Mapping) for key in each}
