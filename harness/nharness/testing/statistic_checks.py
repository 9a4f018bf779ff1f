"""What every statistic must keep, recorded from tiny random models."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from nharness.corpora import EncodedDocument
from nharness.errors import PluginError
from nharness.models import locate
from nharness.recording import Accumulator, Recorder, RecordingOptions, shards_of
from nharness.recording.recorder import Windows
from nharness.statistics import Merger, Statistics, load, merge
from nharness.testing.checks import Check, check_pickles, require
from nharness.testing.tiny import VOCABULARY, tiny_model

LENGTHS = (7, 3, 19, 12, 12, 30, 5, 9)
SITE = "hidden"


@cache
def _documents() -> tuple[Windows, ...]:
    noise = np.random.default_rng(0)
    return tuple(
        (EncodedDocument(f"d{n}", "en", f"d{n}", 0, noise.integers(3, VOCABULARY, length), 0, length, 1),)
        for n, length in enumerate(LENGTHS)
    )


def _recorder(kind: type[Accumulator], model_type: str = "llama", batch_tokens: int = 64) -> Recorder:
    model = tiny_model(model_type)
    options = RecordingOptions(batch_tokens=batch_tokens)
    recorder = Recorder(model, locate(model), [(kind.name, SITE)], options, {kind.name: kind})
    recorder.prepare({"en": _documents()[:3]})
    return recorder


def _shards(kind: type[Accumulator], size: int) -> list[Statistics]:
    recorder = _recorder(kind)
    return [recorder.record_shard("en", shard)[SITE] for shard in shards_of(_documents(), size)]


def _declared(kind: type[Accumulator]) -> None:
    try:
        kind.format()
    except PluginError as error:
        require(holds=False, problem=str(error))


def _any_number(kind: type[Accumulator]) -> None:
    whole = merge(_shards(kind, len(LENGTHS)))
    for size in (1, 3):
        _require_close(
            merge(_shards(kind, size)), whole, f"shards of {size} documents give other numbers than a single one"
        )


def _any_order(kind: type[Accumulator]) -> None:
    shards, merger = _shards(kind, 2), Merger()
    for place in reversed(range(len(shards))):
        merger.add(shards[place], place=place)
    found, expected = merger.result(), merge(shards)
    for name, tensor in expected.tensors.items():
        require(np.array_equal(found.tensors[name], tensor), f"shards in another order give another {name}")


def _padding(kind: type[Accumulator]) -> None:
    alone = _recorder(kind, batch_tokens=1).record_shard("en", _documents())[SITE]
    together = _recorder(kind, batch_tokens=1000).record_shard("en", _documents())[SITE]
    _require_close(together, alone, "batches of other sizes give other numbers: padding or batch boundaries count")


def _new_each(kind: type[Accumulator]) -> None:
    recorder = _recorder(kind)
    first, second = (recorder.record_shard("en", _documents()[:2])[SITE] for _ in range(2))
    _require_close(second, first, "a second shard starts from what the first left behind")


def _file(kind: type[Accumulator]) -> None:
    found = _shards(kind, len(LENGTHS))[0]
    with tempfile.TemporaryDirectory() as folder:
        found.save(Path(folder) / "s.safetensors")
        read = load(Path(folder) / "s.safetensors")
    require(read.formats.get(kind.name) is not None, "the file lacks its merge rules")
    _require_close(read, found, "writing and reading changed the result")


def _experts(kind: type[Accumulator]) -> None:
    if kind.gradient == "relevance":
        return
    _recorder(kind, "mixtral").record_shard("en", _documents())


def _require_close(got: Statistics, expected: Statistics, problem: str) -> None:
    require(got.tensors.keys() == expected.tensors.keys(), f"other tensors: {', '.join(got.tensors)}")
    for name, tensor in expected.tensors.items():
        other: Any = got.tensors[name]
        require(other.shape == tensor.shape, f"{name} has shape {other.shape}, not {tensor.shape}: {problem}")
        same = np.abs(other.astype(float) - tensor.astype(float)) <= 1e-4 * np.abs(tensor) + 1e-5 * _scale(tensor)
        allowed = (
            0.02 if tensor.dtype.kind in "iu" else 0.0
        )  # a value within rounding of an edge may be counted either way
        require((~(same | (other == tensor))).mean() <= allowed, f"{name}: {problem}")


def _scale(tensor: np.ndarray) -> float:
    finite = tensor[np.isfinite(tensor)]
    return float(np.abs(finite).max()) if finite.size else 0.0


CHECKS: Sequence[Check] = (
    Check("declares its merge", _declared),
    Check("shards in any number", _any_number),
    Check("shards in any order", _any_order),
    Check("counts no padding", _padding),
    Check("starts afresh", _new_each),
    Check("survives its file", _file),
    Check("experts", _experts),
    Check("pickles", check_pickles),
)
