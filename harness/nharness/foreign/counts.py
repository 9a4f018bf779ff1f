"""Counts: one file per language with `n` (or `total_tokens`) and `over_zero` [L, I], as LAPE's recorder writes them.

Legend: `L` layers, `I` neurons of a layer, `M` neurons of the model. `over_zero` may also be a list of layers, of
unequal width. With prefix files (counts over the prompts alone) they are subtracted, tokens and counts both clamped
at 0, which leaves the counts over the responses; a count may then exceed the number of tokens by a little.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nharness.errors import FileFormatError, UsageError
from nharness.foreign.loading import load_torch, whole_numbers
from nharness.languages import parse_languages
from nharness.statistics import LanguageTotals, Statistics

TOKEN_KEYS = ("n", "total_tokens")
MOST = 100_000_000  # neurons of a model


def import_counts(path_by_language: Mapping[str, Path], *, prefix: Mapping[str, Path] | None = None) -> Statistics:
    """Return `activation_count` at the gate for the named languages, in the mapping's order.

    prefix: for the same languages, files to subtract. Raises `UsageError` when they name other languages, and
    `FileFormatError` for files of another shape or models of different widths.
    """
    tags = parse_languages(path_by_language)
    before = dict(zip(parse_languages(prefix), prefix.values(), strict=True)) if prefix else {}
    if prefix and set(before) != set(tags):
        raise UsageError(f"prefix counts are of {', '.join(before)}, expected the languages {', '.join(tags)}")
    totals: dict[str, LanguageTotals] = {}
    tensors: dict[str, NDArray[Any]] = {}
    widths: tuple[int, ...] = ()
    for tag, path in zip(tags, path_by_language.values(), strict=True):
        tokens, count, found = _read(path)
        if tag in before:
            prefix_tokens, prefix_count, prefix_widths = _read(before[tag])
            _same_widths(before[tag], prefix_widths, found)
            tokens, count = max(tokens - prefix_tokens, 0), np.maximum(count - prefix_count, 0)
        widths = widths or found
        _same_widths(path, found, widths)
        totals[tag] = LanguageTotals(tokens, 0)
        tensors[f"activation_count/positive/{tag}"] = count
    provenance = {"imported": True, "tokens": "response" if prefix else "all"}
    return Statistics("gate", widths, totals, tensors, provenance)


def _read(path: Path) -> tuple[int, NDArray[np.int64], tuple[int, ...]]:
    """Return tokens, counts [M] and layer widths of one file."""
    content = load_torch(path)
    key = next((key for key in TOKEN_KEYS if isinstance(content, dict) and key in content), None)
    if key is None or "over_zero" not in content:
        got = ", ".join(map(str, content)) if isinstance(content, dict) else f"a {type(content).__name__}"
        raise FileFormatError(f"{path}: holds {got}; expected {' or '.join(TOKEN_KEYS)}, and over_zero")
    tokens = whole_numbers(path, content[key], key, most=1)
    stored = content["over_zero"]
    if isinstance(stored, torch.Tensor) and stored.numel() > MOST:
        raise FileFormatError(f"{path}: over_zero has {stored.numel():,} values, expected at most {MOST:,}")
    several = stored.ndim > 0 if isinstance(stored, torch.Tensor) else isinstance(stored, list | tuple)
    rows = stored if several and len(stored) else ()
    layers = [
        whole_numbers(path, layer, f"over_zero, layer {i}", most=MOST // len(rows)) for i, layer in enumerate(rows)
    ]
    if tokens.size != 1 or not layers or any(layer.ndim != 1 or not layer.size for layer in layers):
        raise FileFormatError(f"{path}: expected one number of tokens and over_zero of [layers, neurons]")
    if tokens.min() < 0 or any(layer.min() < 0 for layer in layers):
        raise FileFormatError(f"{path}: expected counts of at least 0; got a number of tokens or over_zero below it")
    return int(tokens.reshape(-1)[0]), np.concatenate(layers), tuple(layer.size for layer in layers)


def _same_widths(path: Path, got: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if got != expected:
        raise FileFormatError(
            f"{path}: counts of {len(got)} layers with up to {max(got)} neurons, "
            f"expected {len(expected)} with up to {max(expected)}"
        )
