"""What every statistic must keep, recorded from tiny random models."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nharness.corpora import EncodedDocument
from nharness.errors import PluginError
from nharness.models import locate
from nharness.recording import Accumulator, Activations, Recorder, RecordingOptions, Shard, shards_of
from nharness.recording.by_document import layer_starts
from nharness.recording.recorder import Windows
from nharness.statistics import LanguageTotals, Merger, Statistics, load, merge
from nharness.testing.checks import Check, CheckFailedError, check_pickles, no_global_state, require
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
        unmet = set(kind.format().tensors)
    except PluginError as error:
        raise CheckFailedError(str(error)) from error
    for model_type in _models(kind):  # some tensors are there for experts alone
        if unmet:
            unmet -= _given(_recorder(kind, model_type).record_shard("en", _documents()[:1])[SITE])
    require(not unmet, f"declares a merge rule for {min(unmet, default='')!r}, a tensor that tensors() does not return")


def _models(kind: type[Accumulator]) -> tuple[str, ...]:
    return ("llama",) if kind.gradient == "relevance" else ("llama", "mixtral")


def _given(found: Statistics) -> set[str]:
    return {name.split("/")[1] for name in found.tensors}


def _any_number(kind: type[Accumulator]) -> None:
    whole = merge(_shards(kind, len(LENGTHS)))
    for size in (1, 3):
        _require_close(
            merge(_shards(kind, size)), whole, f"shards of {size} documents give other numbers than a single one"
        )


def _any_order(kind: type[Accumulator]) -> None:
    recorder, merger = _recorder(kind), Merger()
    for place, shard in reversed(list(enumerate(shards_of(_documents(), 2)))):
        merger.add(recorder.record_shard("en", shard)[SITE], place=place)
    _require_close(merger.result(), merge(_shards(kind, 2)), "shards recorded in another order give other numbers")


def _batches(kind: type[Accumulator]) -> None:
    alone = _recorder(kind, batch_tokens=1).record_shard("en", _documents())[SITE]
    together = _recorder(kind, batch_tokens=1000).record_shard("en", _documents())[SITE]
    _require_close(together, alone, "batches of other sizes give other numbers")
    stops = np.cumsum(LENGTHS).tolist()
    documents = list(zip(range(len(LENGTHS)), [0, *stops[:-1]], stops, strict=True))
    expected = _fed(kind, documents)
    if kind.by_document:
        parts = [(place, low, high) for place, start, stop in documents for low, high in _halves(start, stop)]
        _require_close(_fed(kind, parts[::-1]), expected, "documents that come in parts give other numbers")
    else:  # as on an accelerator
        _require_close(_fed(kind, [(None, 0, stops[-1])]), expected, "several documents at a time give other numbers")


def _halves(start: int, stop: int) -> list[tuple[int, int]]:
    middle = (start + stop) // 2
    return [(start, middle), (middle, stop)]


def _fed(kind: type[Accumulator], slices: Sequence[tuple[int | None, int, int]]) -> Statistics:
    """Return the statistics of made-up activations: slices are (document or None, first row, end) of all rows."""
    recorder, noise = _recorder(kind), torch.Generator().manual_seed(0)
    widths = recorder.neuron_map.layer_widths
    values, gradient = torch.randn(2, sum(LENGTHS), sum(widths), generator=noise)
    counted = np.array(LENGTHS, dtype=np.int64)
    settings = recorder.settings.get((kind.name, SITE), {})
    accumulator = kind(Shard(recorder.model, recorder.neuron_map, SITE, torch.device("cpu"), counted, settings))
    for first, width in zip(layer_starts(recorder.neuron_map), widths, strict=True):
        for document, low, high in slices:
            place = (slice(low, high), slice(first, first + width))
            slope = gradient[place].clone() if kind.gradient else None
            accumulator.add(Activations(values[place].clone(), first, document, slope))
    tensors = {f"{kind.name}/{name}/en": tensor for name, tensor in accumulator.tensors().items()}
    return Statistics(SITE, widths, {"en": LanguageTotals(sum(LENGTHS), len(LENGTHS))}, tensors)


def _new_each(kind: type[Accumulator]) -> None:
    recorder = _recorder(kind)
    two, others = _documents()[:2], _documents()[2:]
    first, _, again = [recorder.record_shard("en", some)[SITE] for some in (two, others, two)]
    _require_close(again, first, "a shard starts from what an earlier one left behind")


def _untouched(kind: type[Accumulator]) -> None:
    changed: list[str] = []

    class Watched(kind):  # type: ignore[misc, valid-type]
        def add(self, activations: Activations) -> None:
            before = {what: given.clone() for what, given in _handed(activations)}
            super().add(activations)
            changed.extend(what for what, now in _handed(activations) if not _alike(before[what], now))

    _recorder(Watched).record_shard("en", _documents())
    require(not changed, f"add() changed the {''.join(changed[:1])} it was given; others are given the same, copy them")


def _handed(activations: Activations) -> list[tuple[str, Tensor]]:
    gradient = [] if activations.gradient is None else [("gradient", activations.gradient)]
    return [("values", activations.values), *gradient]


def _alike(before: Tensor, now: Tensor) -> bool:
    return before.shape == now.shape and bool(before.isclose(now, rtol=0, atol=0, equal_nan=True).all())


def _state(kind: type[Accumulator]) -> None:
    recorder = _recorder(kind)
    with no_global_state():
        recorder.record_shard("en", _documents())


def _file(kind: type[Accumulator]) -> None:
    found = _shards(kind, len(LENGTHS))[0]
    with tempfile.TemporaryDirectory() as folder:
        found.save(Path(folder) / "s.safetensors")
        read = load(Path(folder) / "s.safetensors")
    require(read.formats.get(kind.name) is not None, "the file lacks its merge rules")
    _require_close(read, found, "writing and reading changed the result")


def _experts(kind: type[Accumulator]) -> None:
    for model_type in _models(kind)[1:]:
        _recorder(kind, model_type).record_shard("en", _documents())


def _require_close(got: Statistics, expected: Statistics, problem: str) -> None:
    require(got.tensors.keys() == expected.tensors.keys(), f"other tensors: {', '.join(got.tensors)}")
    for name, tensor in expected.tensors.items():
        other: Any = got.tensors[name]
        require(other.shape == tensor.shape, f"{name} has shape {other.shape}, not {tensor.shape}: {problem}")
        same = np.isclose(other.astype(float), tensor, rtol=1e-4, atol=1e-5 * _scale(tensor), equal_nan=True)
        allowed = (
            0.02 if tensor.dtype.kind in "iu" else 0.0
        )  # a value within rounding of an edge may be counted either way
        require((~same).mean() <= allowed, f"{name}: {problem}")


def _scale(tensor: np.ndarray) -> float:
    finite = tensor[np.isfinite(tensor)]
    return float(np.abs(finite).max()) if finite.size else 0.0


CHECKS: Sequence[Check] = (
    Check("declares its merge", _declared),
    Check("starts afresh", _new_each),
    Check("shards in any number", _any_number),
    Check("shards in any order", _any_order),
    Check("batches of any size", _batches),
    Check("leaves its activations alone", _untouched),
    Check("leaves the process alone", _state),
    Check("survives its file", _file),
    Check("experts", _experts),
    Check("pickles", check_pickles),
)
