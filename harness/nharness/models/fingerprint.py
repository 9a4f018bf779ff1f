"""Fingerprints: what a model's weights and a tokenizer are, whatever their folder is called.

A file's SHA-256 is kept beside its size and time of change in the cache folder, so that a large model is read once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import Tensor, nn, uint8

from nharness.atomic import write_json
from nharness.cache import cache_folder

WEIGHT_SUFFIXES = (".safetensors", ".gguf", ".bin", ".pt")
# What a config says that changes no logit.
INCIDENTAL = ("_name_or_path", "_commit_hash", "transformers_version", "dtype", "torch_dtype", "architectures")

# What a tokenizer does beside its document: those that are set count.
SETTINGS = ("chat_template", "clean_up_tokenization_spaces", "split_special_tokens")
SPLIT = "Ein Text, 1 234.5 Zeichen – нет, ещё; 猫が\n\n  座る。 قطة <s> don't"


def fingerprint_files(files: Iterable[Path], config: dict[str, Any]) -> str:
    """Return the digest of weight files, in the order of their names, and of what the config says about them."""
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda path: path.name):
        digest.update(file_digest(file).encode())
    known = {key: value for key, value in config.items() if key not in INCIDENTAL}
    digest.update(json.dumps(known, sort_keys=True, default=str).encode())
    return digest.hexdigest()[:32]


def fingerprint_model(model: nn.Module) -> str:
    """Return the digest of a model's parameters and buffers, by name; for models that are not loaded from files."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if isinstance(value, Tensor):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(uint8).numpy().tobytes())
    return digest.hexdigest()[:32]


def fingerprint_tokenizer(tokenizer: Any) -> str:
    """Return the digest of all that decides how a tokenizer splits a text, joins tokens, and wraps a conversation.

    One without a document of its own (a slow one) is also asked how it splits `SPLIT`.
    """
    fast = getattr(tokenizer, "backend_tokenizer", None)
    body = fast.to_str() if fast is not None else json.dumps(sorted(tokenizer.get_vocab().items()))
    special = json.dumps(tokenizer.special_tokens_map, sort_keys=True, default=str)
    settings = {name: getattr(tokenizer, name, None) for name in SETTINGS if getattr(tokenizer, name, None)}
    if fast is None:
        settings["split"] = tokenizer(SPLIT)["input_ids"]
    more = f"\n{json.dumps(settings, sort_keys=True, default=str)}" if settings else ""
    return hashlib.sha256(f"{type(tokenizer).__name__}\n{special}\n{body}{more}".encode()).hexdigest()[:32]


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file; read again only when its size or time of change differ from what was noted."""
    target = path.resolve()
    status = target.stat()
    noted = {"size": status.st_size, "changed": status.st_mtime_ns}
    note = cache_folder() / "fingerprints" / f"{hashlib.sha256(str(target).encode()).hexdigest()[:32]}.json"
    known = _read_note(note)
    if known is not None and {key: known.get(key) for key in noted} == noted:
        return str(known["sha256"])
    with target.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    write_json(note, {**noted, "sha256": digest})
    return digest


def _read_note(note: Path) -> dict[str, Any] | None:
    """Return what was noted about a file, or None; a damaged note counts as none."""
    try:
        document = json.loads(note.read_text())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None
