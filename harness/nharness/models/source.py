"""Where a model is: a folder, a GGUF file, a registered name, or a name on the hub; one sentence for every mistake."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import PretrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING

from nharness.errors import ModelError, OptionError, nearest
from nharness.models.fingerprint import WEIGHT_SUFFIXES

Scalar = str | int | float | bool
KNOWN_ARGS = (
    "revision",
    "subfolder",
    "gguf_file",
    "dtype",
    "attn_implementation",
    "experts_implementation",
    "tokenizer",
    "trust_remote_code",
    "use_safetensors",
    "variant",
    "load_in_8bit",
    "load_in_4bit",
    "offload_folder",
)
_NUMBER = re.compile(r"\.\d+\.")
GGUF = b"GGUF"
QUANTISED = ("bitsandbytes", *AUTO_QUANTIZATION_CONFIG_MAPPING)


@dataclass(frozen=True)
class ModelSource:
    """A folder or hub name and the model arguments that load it."""

    name: str
    args: Mapping[str, Scalar] = field(default_factory=dict)


Named = Mapping[str, str | Path | Callable[[], ModelSource | str | Path]]


@dataclass(frozen=True)
class Found:
    """What is to be loaded: a local `folder`, or None when `name` is a name on the hub."""

    name: str
    folder: Path | None
    args: Mapping[str, Scalar]


def find_source(name: str, args: Mapping[str, Scalar], named: Named) -> Found:
    """Return what `name` means: a registered name first, then a folder or GGUF file, then a name on the hub.

    An argument that no model takes raises OptionError; a path that does not exist, or a folder that holds no model,
    ModelError with the nearest name.
    """
    unknown = [key for key in args if key not in KNOWN_ARGS]
    if unknown:
        raise OptionError(f"unknown model argument {unknown[0]!r}{nearest(unknown[0], KNOWN_ARGS)}")
    if name in named:
        source = _registered(named[name])
        return find_source(source.name, {**source.args, **args}, {})
    path = Path(name).expanduser()
    if path.is_file():
        _require_gguf(path)
        return Found(name, path.parent, {**args, "gguf_file": path.name})
    if path.is_dir():
        check_folder(path, args)
        return Found(name, path, args)
    if path.exists() or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ModelError(f"no model folder {name!r}{_near_folder(path, named)}")
    close = difflib.get_close_matches(name, list(named), n=1, cutoff=0.75)
    if close:
        # A slip in a registered name is not worth the wait for the hub's answer.
        raise ModelError(f"no model {name!r}; did you mean {close[0]!r}?")
    return Found(name, None, args)


def _require_gguf(path: Path) -> None:
    """Raise `ModelError` for a file that is no GGUF file, by its name and its first bytes."""
    expected = "expected a folder with config.json and weights, a GGUF file (*.gguf), or a name on the hub"
    if path.suffix != ".gguf":
        raise ModelError(f"{str(path)!r} is a file; {expected}")
    with path.open("rb") as handle:
        if handle.read(len(GGUF)) != GGUF:
            raise ModelError(f"{str(path)!r} is damaged or no GGUF file: it does not begin with {GGUF.decode()}")


def _registered(target: str | Path | Callable[[], ModelSource | str | Path]) -> ModelSource:
    """Return the source that a registered name stands for."""
    given = target() if callable(target) else target
    return given if isinstance(given, ModelSource) else ModelSource(str(given))


def _near_folder(path: Path, named: Iterable[str]) -> str:
    """Return the nearest existing path."""
    there = [str(child) for child in path.parent.iterdir()] if path.parent.is_dir() else []
    close = difflib.get_close_matches(str(path), there, n=1, cutoff=0.6)
    close = close or difflib.get_close_matches(path.name, list(named), n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return "; expected a folder with config.json and weights, or a name on the hub"


def check_folder(folder: Path, args: Mapping[str, Scalar]) -> None:
    """Refuse a folder without a model, or with damaged weights, before anything slow is done."""
    inside = folder / str(args.get("subfolder", ""))
    names = sorted(child.name for child in inside.iterdir()) if inside.is_dir() else []
    if "gguf_file" in args:
        if args["gguf_file"] not in names:
            raise ModelError(f"no file {args['gguf_file']!r} in {inside}{nearest(str(args['gguf_file']), names)}")
        return
    if "adapter_config.json" in names:
        raise ModelError(
            f"{inside} holds an adapter (adapter_config.json), and whether it is applied depends on what is "
            "installed; merge it into the weights (merge_and_unload of peft), or remove it to measure the model "
            "without it"
        )
    if "config.json" not in names:
        ggufs = [name for name in names if name.endswith(".gguf")]
        hint = f"; there is {ggufs[0]}: add the model argument gguf_file={ggufs[0]}" if ggufs else ""
        raise ModelError(f"folder {inside} holds no config.json, so it is not a transformers model{hint}")
    weights = weight_files(inside, args)
    if not weights:
        kind = f"*{_variant(args)}.safetensors" if "variant" in args else "*.safetensors"
        raise ModelError(f"folder {inside} holds a config.json but no weights ({kind})")
    _check_shards(inside)
    for file in weights:
        if file.suffix == ".safetensors":
            _check_safetensors(file)


def weight_files(folder: Path, args: Mapping[str, Scalar] = MappingProxyType({})) -> list[Path]:
    """Return the weight files that are loaded: transformers' own, else all of the format it would take.

    safetensors go before other formats unless `use_safetensors` is false; `variant` is part of the names.
    """
    files = sorted(child for child in folder.iterdir() if child.suffix in WEIGHT_SUFFIXES)
    safe = [file for file in files if file.suffix == ".safetensors"]
    kind, stem = (safe, "model") if safe and args.get("use_safetensors") is not False else (files, "pytorch_model")
    named = re.compile(
        rf"{stem}{re.escape(_variant(args))}(-\d+-of-\d+)?\.(safetensors|bin)|"
        rf"{stem}(-\d+-of-\d+)?{re.escape(_variant(args))}\.(safetensors|bin)"
    )
    own = [file for file in kind if named.fullmatch(file.name)]
    return own if own or "variant" in args else kind


def _variant(args: Mapping[str, Scalar]) -> str:
    return f".{args['variant']}" if "variant" in args else ""


def _check_shards(folder: Path) -> None:
    """Refuse a sharded model of which a shard is absent."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return
    try:
        shards = set(json.loads(index.read_text())["weight_map"].values())
        absent = sorted(shard for shard in shards if not (folder / shard).is_file())
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ModelError(f"{index} is damaged: expected a JSON object with weight_map") from error
    if absent:
        raise ModelError(f"{folder} lacks {len(absent)} of {len(shards)} weight files, the first is {absent[0]}")


def _check_safetensors(file: Path) -> None:
    """Refuse a file whose header does not fit its length."""
    try:
        with safe_open(file, framework="pt"):
            pass
    except (SafetensorError, OSError) as error:
        size = file.stat().st_size
        what = f"{file} ({size} bytes) is truncated or no safetensors file"
        raise ModelError(f"{what}: {error}; copy it again") from error


def check_config(name: str, config: Mapping[str, Any], *, trust_remote_code: bool) -> None:
    """Refuse a model that needs its own code, unless it is trusted, and one that is no causal language model.

    A way of quantising that transformers does not know is refused too: it would take packed numbers for weights.
    """
    method = str((config.get("quantization_config") or {}).get("quant_method", "bitsandbytes"))
    if method not in QUANTISED:
        raise ModelError(f"{name} is quantised by the unknown method {method!r}{nearest(method, QUANTISED)}")
    model_type = str(config.get("model_type", ""))
    if model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or (trust_remote_code and "auto_map" in config):
        return
    if "auto_map" in config:
        raise ModelError(
            f"{name} brings its own code ({', '.join(sorted(config['auto_map']))}), which runs with all your rights; "
            "read it, then allow it with --trust-remote-code"
        )
    if model_type in CONFIG_MAPPING:
        made = ", ".join(config.get("architectures") or [model_type])
        raise ModelError(f"{name} is not a causal language model but {made}; expected a decoder that predicts tokens")
    near = nearest(model_type, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    raise ModelError(f"{name} has the unknown model type {model_type!r}{near}")


def read_config(found: Found) -> dict[str, Any]:
    """Return the config as it is written, from the folder or the hub."""
    kept = {key: value for key, value in found.args.items() if key in ("revision", "subfolder")}
    try:
        config = dict(PretrainedConfig.get_config_dict(str(found.folder or found.name), **kept)[0])
    except (OSError, ValueError, TypeError) as error:
        where = "is damaged" if found.folder else "was found neither as a folder nor on the hub"
        raise ModelError(f"model {found.name!r} {where}: {first_line(error)}") from error
    return config


def require_complete(name: str, missing: Collection[str]) -> None:
    """Refuse a checkpoint that lacks the weights `missing`: transformers would fill them with random numbers."""
    if missing:
        raise ModelError(f"the checkpoint of {name!r} lacks {len(missing)} weights, the first is {min(missing)}")


def require_all_layers(name: str, model: nn.Module, surplus: Collection[str]) -> None:
    """Refuse a checkpoint with weights that are called as the model's are but for a number: layers left out."""
    known = {_NUMBER.sub(".*.", parameter) for parameter, _ in model.named_parameters(remove_duplicate=False)}
    left = sorted(key for key in surplus if _NUMBER.search(key) and _NUMBER.sub(".*.", key) in known)
    if left:
        raise ModelError(
            f"the checkpoint of {name!r} holds {len(left)} weights of layers that its config.json leaves out, the "
            f"first is {left[0]}; expected a config.json that names as many layers as there are weights of"
        )


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, with the next where it only announces one; a bare key is named."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines or isinstance(error, KeyError):
        return f"{type(error).__name__} {' '.join(lines)}".strip()
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
