"""Safetensors files with one JSON document under the metadata key `nharness`: checked when read, written atomically."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from nharness.atomic import write_bytes
from nharness.errors import FileFormatError

T = TypeVar("T")


def save(path: Path, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> None:
    """Write tensors and metadata; equal input gives equal bytes. Raises `OutputError` when it cannot be written."""
    ordered = {name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}
    document = json.dumps(metadata, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_bytes(path, to_bytes(ordered, metadata={"nharness": document}))


def load(path: Path, expected_format: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return the tensors and the metadata document of a file of `expected_format`.

    Raises `FileFormatError` naming the file when it is absent, damaged, truncated or of another format.
    """
    metadata = load_metadata(path, expected_format)
    try:
        with safe_open(path, framework="np") as handle:
            return {name: handle.get_tensor(name) for name in handle.keys()}, metadata  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, TypeError) as error:
        raise FileFormatError(f"{path}: not a readable safetensors file ({error})") from error


def load_metadata(path: Path, expected_format: str) -> dict[str, Any]:
    """Return the metadata document alone; errors as in `load`."""
    document = _metadata(path, f"a {expected_format} safetensors file")
    got = document.get("format") if isinstance(document, dict) else None
    if not isinstance(document, dict) or got != expected_format:
        raise FileFormatError(f"{path}: format is {got!r}, expected {expected_format!r}")
    return document


def format_of(path: Path) -> str:
    """Return the format a file says it has, "" where it says none; raises `FileFormatError` for no safetensors file."""
    document = _metadata(path, "a safetensors file")
    return str(document.get("format", "")) if isinstance(document, dict) else ""


def _metadata(path: Path, expected: str) -> Any:
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise FileFormatError(f"{path}: {what}; expected {expected}")
    try:
        with safe_open(path, framework="np") as handle:
            text = (handle.metadata() or {}).get("nharness", "")
    except (SafetensorError, OSError) as error:
        raise FileFormatError(f"{path}: damaged, truncated or not a safetensors file ({error})") from error
    try:
        return json.loads(text) if text else {}
    except (ValueError, RecursionError) as error:  # a number of thousands of digits is a ValueError alone
        raise FileFormatError(f"{path}: the metadata under 'nharness' is not JSON ({str(error)[:80]})") from error


def field(path: Path, metadata: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """Return a required metadata field of the given type; raises `FileFormatError` naming file and field."""
    value = metadata.get(name)
    if not isinstance(value, kind):
        raise FileFormatError(f"{path}: metadata field {name!r} is {str(value)[:80]!r}, expected a {kind.__name__}")
    return value
