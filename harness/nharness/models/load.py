"""Load a model and its tokenizer from a registered name, a folder, a GGUF file or the hub."""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import utils as hub
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging
from transformers.utils.hub import cached_file

from nharness.errors import ModelError, OptionError, nearest
from nharness.models.arguments import (
    BITS,
    OURS,
    quantisation,
    require_attention,
    require_bitsandbytes,
    require_effect,
    require_one_dtype,
    require_packed,
)
from nharness.models.context import vocabulary_of
from nharness.models.dependence import ALONE, BATCHED, Batching, dependence_of, require_causal
from nharness.models.fingerprint import fingerprint_files, fingerprint_model, fingerprint_tokenizer
from nharness.models.gguf import converted, describe
from nharness.models.source import (
    Found,
    Named,
    Scalar,
    check_config,
    find_source,
    first_line,
    read_config,
    require_all_layers,
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
    AssertionError,
    AttributeError,
    EOFError,
    NotImplementedError,
    pickle.PickleError,
    zipfile.BadZipFile,
    ArithmeticError,
    StrictDataclassError,
)


@dataclass(frozen=True)
class LoadedModel:
    """A model in evaluation mode with its tokenizer.

    `name` is what was asked for, `revision` the commit on the hub (None for a folder). `fingerprint` is a digest of the
    weights and of what the config says about them, `tokenizer_fingerprint` one of the tokenizer: neither knows a path.
    `together` is the longest row that may share a forward pass with others: None for any, 0 where every row has to be
    run alone, since its neighbours would change its logits. `checkpoint` says what the weights are, format and packing.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str
    revision: str | None
    fingerprint: str
    tokenizer_fingerprint: str
    together: int | None = None
    checkpoint: str = ""

    def batching(self, longest: int) -> Batching:
        """Return how rows of up to `longest` tokens are run, in the words of a record."""
        return BATCHED if self.together is None or longest <= self.together else ALONE

    @property
    def faster_in_bfloat16(self) -> bool:
        """Whether the weights are float32 on a device that multiplies bfloat16 by itself, as far as torch tells."""
        first = next(self.model.parameters())
        if first.dtype != torch.float32:
            return False
        if first.device.type == "cpu":
            able: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # torch 2.6 has none
            return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
        return first.device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


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
    packing = ""
    if found.folder is not None and "gguf_file" in found.args:
        found, packing = _from_gguf(found)
    config = read_config(found)
    check_config(name, config, trust_remote_code=trusted)
    require_effect(found, config, placed=device_map is not None)
    require_attention(found.args, device_meant(device) if device_map is None else None)
    require_one_dtype(found.args, dtype)
    quantised = quantisation(name, found.args, config)
    packed = quantised is not None or _method(config) == "bitsandbytes"
    if packed:
        require_bitsandbytes(name)
    place = device_meant(device) if device_map is None else None
    where = {"": str(place)} if packed and place is not None else device_map
    model = _load_weights(found, dtype, where, quantised, trusted=trusted)
    if place is not None and not packed:
        nn.Module.to(model, place)
    tokenizer = _load_tokenizer(found, vocabulary_of(model), trusted=trusted)
    # What is written is decided neither by a generation_config.json nor by a function that the folder brings along.
    if "generate" in vars(model):
        del model.generate
    if getattr(model, "generation_config", None) is not None:
        model.generation_config = _own_decoding(tokenizer)
    inside = _folder_of(found)
    files = weight_files(inside, found.args) if inside is not None else []
    if packed and quantised is None:
        require_packed(name, files)
    found_out = dependence_of(model)
    require_causal(name, model, found_out)
    code = sorted(inside.glob("*.py")) if inside is not None and trusted and "auto_map" in config else []
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        name=name,
        revision=getattr(model.config, "_commit_hash", None),
        fingerprint=fingerprint_files([*files, *code], config) if files else fingerprint_model(model),
        tokenizer_fingerprint=fingerprint_tokenizer(tokenizer),
        together=found_out.together,
        checkpoint=packing or _checkpoint(name, found, files, config),
    )


def _method(config: Mapping[str, Any]) -> str:
    """Return how a configuration says that its weights are quantised, "" where it says nothing."""
    said = config.get("quantization_config") or {}
    return str(said.get("quant_method", "bitsandbytes")) if said else ""


def _from_gguf(found: Found) -> tuple[Found, str]:
    """Return the converted folder of a GGUF file, and what the file says it is.

    An argument about files of other kinds raises OptionError.
    """
    idle = next((key for key in ("variant", "use_safetensors") if key in found.args), None)
    if idle is not None:
        raise OptionError(f"{idle} has no effect on a GGUF file")
    folder = (found.folder or Path()) / str(found.args.get("subfolder", ""))
    file = str(found.args["gguf_file"])
    try:
        made = converted(folder, file)
        packing = describe(made, folder, file)
    except LOADING_ERRORS as error:
        raise ModelError(f"{folder / file} cannot be read as a GGUF model: {first_line(error)}") from error
    used = ("gguf_file", "subfolder")
    return Found(found.name, made, {key: value for key, value in found.args.items() if key not in used}), packing


def _checkpoint(asked_for: str, found: Found, files: Sequence[Path], config: Mapping[str, Any]) -> str:
    """Return what weights are: the model's name as asked for, a folder's its last part; their format and numbers."""
    name = Path(asked_for).resolve().name if Path(asked_for).is_dir() else asked_for
    kind = "safetensors" if files and files[0].suffix == ".safetensors" else "PyTorch"
    numbers = str(config.get("dtype") or config.get("torch_dtype") or "").removeprefix("torch.")
    asked = [key.removeprefix("load_in_") for key in BITS if found.args.get(key)]
    packed = f", quantised to {asked[0]}" if asked else f", quantised: {_method(config)}" if _method(config) else ""
    return f"{name}, {kind} {numbers}".strip() + packed


def _load_weights(
    found: Found,
    dtype: str | torch.dtype,
    device_map: str | Mapping[str, Any] | None,
    quantised: BitsAndBytesConfig | None,
    *,
    trusted: bool,
) -> PreTrainedModel:
    """Load the weights; a checkpoint that lacks some, has layers to spare, or brings an adapter along is refused."""
    options: dict[str, Any] = {key: value for key, value in found.args.items() if key not in OURS}
    if found.folder is None and "revision" in found.args:
        options["revision"] = found.args["revision"]
    if device_map is not None:
        options["device_map"] = device_map
    if quantised is not None:
        options["quantization_config"] = quantised
    try:
        automatic: Any = AutoModelForCausalLM
        with _without_weights_report():
            model, info = automatic.from_pretrained(
                str(found.folder or found.name),
                dtype=_dtype(found.args.get("dtype", dtype)),
                trust_remote_code=trusted,
                output_loading_info=True,
                **options,
            )
    except pickle.PickleError as error:
        raise ModelError(
            f"model {found.name!r} cannot be loaded: its weights are pickled objects, which run code when they are "
            "read; expected tensors alone, best as safetensors"
        ) from error
    except LOADING_ERRORS as error:
        why = first_line(error)
        if "ignore_mismatched_sizes" in why:  # transformers' advice, under a table that is not shown
            why = "its weights have other shapes than its config.json says"
        raise ModelError(f"model {found.name!r} cannot be loaded: {why}") from error
    require_complete(found.name, info["missing_keys"])
    require_all_layers(found.name, model, info["unexpected_keys"])
    if getattr(model, "_hf_peft_config_loaded", False):
        raise ModelError(f"model {found.name!r} comes with an adapter; merge it into the weights (merge_and_unload)")
    loaded: PreTrainedModel = model
    nn.Module.eval(loaded)
    return loaded


@contextmanager
def _without_weights_report() -> Iterator[None]:
    """Leave out the bar of transformers and its report of keys, of which ours are told in a sentence.

    Bars of downloads stay as they are.
    """
    own: Any = logging  # neither module says the types of these functions
    downloads: Any = hub
    shown, enabled = own.is_progress_bar_enabled(), not downloads.are_progress_bars_disabled()
    before = own.get_verbosity()
    own.disable_progress_bar()
    own.set_verbosity_error()
    if enabled:
        downloads.enable_progress_bars()
    try:
        yield
    finally:
        own.set_verbosity(before)
        if shown and enabled:
            own.enable_progress_bar()


def _load_tokenizer(found: Found, rows: int, *, trusted: bool) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model that knows `rows` tokens; it pads with its end mark if it has no padding token."""
    name = str(found.args.get("tokenizer", found.folder or found.name))
    kept = () if "tokenizer" in found.args else ("revision", "subfolder")
    options = {key: found.args[key] for key in kept if key in found.args}
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(name, trust_remote_code=trusted, **options)
    except LOADING_ERRORS as error:
        raise ModelError(f"the tokenizer of {found.name!r} cannot be loaded: {first_line(error)}") from error
    _require_vocabulary(found.name, tokenizer, rows)
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id >= rows:
        tokenizer.pad_token = tokenizer.eos_token  # what is padded is never read
    return tokenizer


def _require_vocabulary(name: str, tokenizer: PreTrainedTokenizerBase, rows: int) -> None:
    """Refuse a tokenizer whose token ids the model does not know; added tokens may be beyond, unless they are marks."""
    added = set(tokenizer.get_added_vocab().values())
    plain = max((place for place in tokenizer.get_vocab().values() if place not in added), default=0)
    used = [getattr(tokenizer, f"{each}_token_id") for each in ("bos", "eos", "unk")]
    largest = max([plain, *(place for place in used if place is not None)])
    if largest >= rows:
        raise ModelError(
            f"the tokenizer of {name} has token ids up to {largest}, but the model knows {rows} tokens; it is the "
            "tokenizer of another model"
        )


def _own_decoding(tokenizer: PreTrainedTokenizerBase) -> GenerationConfig:
    """Return nharness' own decoding: its marks are the tokenizer's, all else is neutral."""
    marks = {f"{each}_token_id": getattr(tokenizer, f"{each}_token_id") for each in ("bos", "eos", "pad")}
    return GenerationConfig(**marks)  # type: ignore[no-untyped-call]


def _dtype(dtype: Scalar | torch.dtype) -> str | torch.dtype:
    """Return a torch type, or "auto"."""
    if isinstance(dtype, torch.dtype) or dtype == "auto":
        return dtype if isinstance(dtype, torch.dtype) else "auto"
    name = str(dtype).removeprefix("torch.")
    if name not in DTYPES:
        raise OptionError(f"unknown dtype {name!r}{nearest(name, ('auto', *DTYPES))}")
    found: torch.dtype = getattr(torch, name)
    return found


def device_meant(device: str | torch.device) -> torch.device:
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


def _folder_of(found: Found) -> Path | None:
    """Return the folder with the files of a model, None where nothing tells it."""
    folder = found.folder if found.folder is not None else _hub_folder(found)
    return folder / str(found.args.get("subfolder", "")) if folder is not None else None


def _hub_folder(found: Found) -> Path | None:
    """Return the local folder that holds the files of a hub model."""
    options = {key: found.args[key] for key in ("revision", "subfolder") if key in found.args}
    config = cached_file(found.name, "config.json", **options)
    return None if config is None else Path(config).parent
