"""Load a model and its tokenizer from a registered name, a folder, a GGUF file or the hub."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import utils as hub
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging
from transformers.utils.hub import cached_file

from nharness.errors import ModelError, OptionError, nearest
from nharness.models.dependence import ALONE, BATCHED, Batching, dependence_of, require_causal
from nharness.models.fingerprint import fingerprint_files, fingerprint_model, fingerprint_tokenizer
from nharness.models.gguf import converted
from nharness.models.source import (
    Found,
    Named,
    Scalar,
    check_config,
    find_source,
    first_line,
    read_config,
    require_complete,
    weight_files,
)
from nharness.spec import DTYPES

LOADING_ERRORS = (
    OSError,
    ValueError,
    RuntimeError,
    KeyError,
    IndexError,
    TypeError,
    ImportError,
    SafetensorError,
    struct.error,
)


@dataclass(frozen=True)
class LoadedModel:
    """A model in evaluation mode with its tokenizer.

    `name` is what was asked for, `revision` the commit on the hub (None for a folder). `fingerprint` is a digest of the
    weights and of what the config says about them, `tokenizer_fingerprint` one of the tokenizer: neither knows a path.
    `together` is the longest row that may share a forward pass with others: None for any, 0 where every row has to be
    run alone, since its neighbours would change its logits.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str
    revision: str | None
    fingerprint: str
    tokenizer_fingerprint: str
    together: int | None = None

    def batching(self, longest: int) -> Batching:
        """Return how rows of up to `longest` tokens are run, in the words of a record."""
        return BATCHED if self.together is None or longest <= self.together else ALONE


def load_model(
    name: str,
    args: Mapping[str, Scalar] | None = None,
    *,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    device_map: str | Mapping[str, Any] | None = None,
    trust_remote_code: bool = False,
    named: Named | None = None,
) -> LoadedModel:
    """Load the model called `name`; see `find_source` for what a name may be.

    `args` are lm-eval's model arguments (`revision`, `dtype`, `gguf_file`, ...). `dtype="auto"` is the checkpoint's,
    `device="auto"` an accelerator if there is one. With `device_map` the placement is accelerate's. A GGUF file is
    converted once, into the cache folder. A few short passes ask the model whether it reads left to right, and whether
    the rows of a batch change each other (`dependence`). Whatever is wrong with the input raises ModelError in one
    sentence.
    """
    found = find_source(name, args or {}, named or {})
    trusted = trust_remote_code or found.args.get("trust_remote_code") is True
    if found.folder is not None and "gguf_file" in found.args:
        found = _from_gguf(found)
    config = read_config(found)
    check_config(name, config, trust_remote_code=trusted)
    place = _device(device) if device_map is None else None
    model = _load_weights(found, dtype, device_map, trusted=trusted)
    if place is not None:
        nn.Module.to(model, place)
    tokenizer = _load_tokenizer(found, trusted=trusted)
    found_out = dependence_of(model)
    require_causal(name, model, found_out)
    folder = found.folder if found.folder is not None else _hub_folder(found)
    files = weight_files(folder / str(found.args.get("subfolder", ""))) if folder is not None else []
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        name=name,
        revision=getattr(model.config, "_commit_hash", None),
        fingerprint=fingerprint_files(files, config) if files else fingerprint_model(model),
        tokenizer_fingerprint=fingerprint_tokenizer(tokenizer),
        together=found_out.together,
    )


def _from_gguf(found: Found) -> Found:
    """Return the converted folder of a GGUF file."""
    folder, file = found.folder or Path(), str(found.args["gguf_file"])
    try:
        made = converted(folder, file)
    except LOADING_ERRORS as error:
        raise ModelError(f"{folder / file} cannot be read as a GGUF model: {first_line(error)}") from error
    return Found(found.name, made, {key: value for key, value in found.args.items() if key != "gguf_file"})


def _load_weights(
    found: Found, dtype: str | torch.dtype, device_map: str | Mapping[str, Any] | None, *, trusted: bool
) -> PreTrainedModel:
    """Load the weights; a checkpoint that lacks some is refused."""
    skipped = ("dtype", "tokenizer", "trust_remote_code")
    options: dict[str, Any] = {key: value for key, value in found.args.items() if key not in skipped}
    if device_map is not None:
        options["device_map"] = device_map
    try:
        automatic: Any = AutoModelForCausalLM
        with _without_weights_bar():
            model, info = automatic.from_pretrained(
                str(found.folder or found.name),
                dtype=_dtype(found.args.get("dtype", dtype)),
                trust_remote_code=trusted,
                output_loading_info=True,
                **options,
            )
    except LOADING_ERRORS as error:
        raise ModelError(f"model {found.name!r} cannot be loaded: {first_line(error)}") from error
    require_complete(found.name, info["missing_keys"])
    loaded: PreTrainedModel = model
    nn.Module.eval(loaded)
    return loaded


@contextmanager
def _without_weights_bar() -> Iterator[None]:
    """Leave out the bar of transformers; those of downloads stay as they are."""
    own: Any = logging  # neither module says the types of these functions
    downloads: Any = hub
    shown, enabled = own.is_progress_bar_enabled(), not downloads.are_progress_bars_disabled()
    own.disable_progress_bar()
    if enabled:
        downloads.enable_progress_bars()
    try:
        yield
    finally:
        if shown and enabled:
            own.enable_progress_bar()


def _load_tokenizer(found: Found, *, trusted: bool) -> PreTrainedTokenizerBase:
    """Load the tokenizer; one without a padding token pads with its end token."""
    name = str(found.args.get("tokenizer", found.folder or found.name))
    kept = () if "tokenizer" in found.args else ("revision", "subfolder")
    options = {key: found.args[key] for key in kept if key in found.args}
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(name, trust_remote_code=trusted, **options)
    except LOADING_ERRORS as error:
        raise ModelError(f"the tokenizer of {found.name!r} cannot be loaded: {first_line(error)}") from error
    if tokenizer.pad_token is None and tokenizer.eos_token is not None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _dtype(dtype: Scalar | torch.dtype) -> str | torch.dtype:
    """Return a torch type, or "auto"."""
    if isinstance(dtype, torch.dtype) or dtype == "auto":
        return dtype if isinstance(dtype, torch.dtype) else "auto"
    name = str(dtype).removeprefix("torch.")
    if name not in DTYPES:
        raise OptionError(f"unknown dtype {name!r}{nearest(name, ('auto', *DTYPES))}")
    found: torch.dtype = getattr(torch, name)
    return found


def _device(device: str | torch.device) -> torch.device:
    """Return the device meant; "auto" is an accelerator if there is one."""
    if device != "auto":
        try:
            meant = torch.device(device)
            torch.empty(0, device=meant)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise OptionError(f"no device {str(device)!r} here: {first_line(error)}; try auto or cpu") from error
        return meant
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return accelerator if accelerator is not None else torch.device("cpu")


def _hub_folder(found: Found) -> Path | None:
    """Return the local folder that holds the files of a hub model."""
    options = {key: found.args[key] for key in ("revision", "subfolder") if key in found.args}
    config = cached_file(found.name, "config.json", **options)
    return None if config is None else Path(config).parent
