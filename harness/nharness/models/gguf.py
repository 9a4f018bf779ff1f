"""GGUF files, converted once: reading one takes many seconds, the safetensors folder made from it takes one.

Weights are de-quantised to float32, which holds every value a GGUF block stands for exactly.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from nharness.atomic import check_writable, write_bytes
from nharness.cache import cache_folder
from nharness.models.fingerprint import file_digest
from nharness.models.source import require_all_layers, require_complete


def converted(folder: Path, file: str) -> Path:
    """Return a safetensors folder with the model and tokenizer of `folder/file`, made now unless it is there already.

    The folder appears whole or not at all, also when two processes make it at once. A file that lacks weights raises
    ModelError.
    """
    target = cache_folder() / "gguf" / file_digest(folder / file)[:32]
    if (target / "config.json").is_file():
        return target
    check_writable(target.parent)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".making-") as temporary:
        made = Path(temporary) / "model"
        _convert(folder, file, made)
        try:
            made.rename(target)
        except OSError:
            # Somebody else was faster, with the same content.
            if not (target / "config.json").is_file():
                shutil.rmtree(target, ignore_errors=True)
                made.rename(target)
    return target


def describe(made: Path, folder: Path, file: str) -> str:
    """Return what a GGUF file is called, what it says it is, and how its weights are packed.

    What it says is read once and kept beside the conversion.
    """
    import gguf  # noqa: PLC0415 - an extra

    note = made / "checkpoint.txt"
    if not note.is_file():
        fields = gguf.GGUFReader(folder / file).fields
        named, packed = fields.get("general.name"), fields.get("general.file_type")
        name = str(named.contents()) if named is not None else Path(file).stem
        kind = gguf.LlamaFileType(packed.contents()).name.partition("_")[2] if packed is not None else ""
        write_bytes(note, f"{name}, GGUF {kind}".strip().encode())
    said, _, packing = note.read_text(encoding="utf-8").rpartition(", GGUF")
    called = Path(file).stem
    return f"{called if said == called else f'{called} ({said})'}, GGUF{packing}"


def _convert(folder: Path, file: str, target: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
    automatic: Any = AutoModelForCausalLM
    model, info = automatic.from_pretrained(folder, gguf_file=file, dtype=torch.float32, output_loading_info=True)
    require_complete(str(folder / file), info["missing_keys"])
    require_all_layers(str(folder / file), model, info["unexpected_keys"])
    # The weights are plain numbers now; these marks would make transformers refuse to save them.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    for name in ("hf_quantizer", "quantization_method", "is_quantized"):
        if name in vars(model):
            delattr(model, name)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
