"""The recording pass: one forward pass over the text feeds every statistic that was asked for.

Legend: `B` rows of a batch, `T` its length.

1. The documents of a language are cut into shards of a fixed number of documents. Batches are cut inside a shard and
   never across shards or languages.
2. Each batch runs through the model without its LM head (with it where a statistic needs gradients), and every layer's
   activations go, slice by slice, to the accumulators of their site; nothing is kept.
3. A shard gives statistics of its own. Shards are added up in order: recorded apart and merged, or recorded at once,
   they are the same bytes. Memory does not grow with the corpus, but for statistics that have a row per document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nharness.corpora import Batch, EncodedDocument, Room, batches, overhead_on, require_known
from nharness.errors import ModelError, OptionError, PluginError, UnknownNameError
from nharness.models import NeuronMap, observe
from nharness.models.context import longest_context, vocabulary_of
from nharness.models.trace import evaluating
from nharness.recording.accumulator import Accumulator, Scratch, Shard
from nharness.recording.batch_size import batch_tokens_for, until_it_fits
from nharness.recording.builtin import ACCUMULATORS
from nharness.recording.by_document import layer_starts
from nharness.recording.dispatch import Dispatch, Needed
from nharness.recording.gradients import Quantity, require_conserved, with_gradients
from nharness.recording.selection import Selection
from nharness.recording.trunk import find_trunk, first_device, forward_of
from nharness.statistics import LanguageTotals, Statistics

Windows = tuple[EncodedDocument, ...]
"""One document: its windows, in order."""
Seen = Callable[[int], None]


@dataclass(frozen=True)
class RecordingOptions:
    """How the pass is run; none of it changes what is counted.

    batch_tokens: tokens of one forward pass, padding included. shard_documents: documents of one shard (the order in
    which floating-point sums are added depends on it, nothing else). length: longest row to expect, for trying out
    batch sizes. together: longest row that may share a forward pass with others, None for any (`LoadedModel.together`).
    """

    batch_tokens: int | Literal["auto"] = "auto"
    shard_documents: int = 64
    length: int = 512
    together: int | None = None

    def __post_init__(self) -> None:
        if self.shard_documents < 1 or (self.batch_tokens != "auto" and self.batch_tokens < 1):
            raise OptionError(
                f"batch_tokens and shard_documents must be at least 1; got {self.batch_tokens}, {self.shard_documents}"
            )


@dataclass
class Recorder:
    """Records shards of encoded documents with one model, which reads left to right (`require_causal`).

    needs: statistics by name and site. accumulators: those of plug-ins, by name, beside the built-in ones.
    provenance: goes into every statistics value. settings: of each (statistic, site), from `prepare`, where a
    statistic has any. Raises `UnknownNameError` for a statistic that is not registered, `PluginError` for one that does
    not say how its shards are merged.
    """

    model: nn.Module
    neuron_map: NeuronMap
    needs: Sequence[Needed]
    options: RecordingOptions = field(default_factory=RecordingOptions)
    accumulators: Mapping[str, type[Accumulator]] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    settings: dict[Needed, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = {**ACCUMULATORS, **self.accumulators}
        for statistic, _ in self.needs:
            if statistic not in known:
                raise UnknownNameError("statistic", statistic, known)
        _refuse_repeated_layers(self.neuron_map)
        self._kinds = {need: known[need[0]] for need in dict.fromkeys(self.needs)}
        self._formats = {kind.name: kind.format() for kind in self._kinds.values()}
        self._gradients: list[Quantity] = sorted({kind.gradient for kind in self._kinds.values() if kind.gradient})
        self._device = first_device(self.model)
        self._vocabulary, self._longest = vocabulary_of(self.model), longest_context(self.model)
        # float64 sums are impossible on some accelerators, and layers may lie on several: then sums live on the CPU
        self._home = torch.device("cpu") if self._device.type == "mps" or _spread(self.model) else self._device
        self._scratch = Scratch()
        with evaluating(self.model):
            self._forward = forward_of(self.model) if self._gradients else find_trunk(self.model, self.neuron_map)
            if "relevance" in self._gradients:
                require_conserved(self.model, self.neuron_map)
            self.batch_tokens = self._batch_tokens(self.options.batch_tokens)

    def _batch_tokens(self, given: int | Literal["auto"]) -> int:
        if given != "auto":
            return given
        gradient = bool(self._gradients)
        return batch_tokens_for(self._device, self._forward, length=self.options.length, gradient=gradient)

    def scouts(self) -> tuple[Needed, ...]:
        """Return what has to be recorded over some documents of every language before the settings are known."""
        found = {(kind.scout, site) for (_, site), kind in self._kinds.items() if kind.scout is not None}
        return tuple(sorted(found)) if any(need not in self.settings for need in self._with_scout()) else ()

    def prepare(self, documents: Mapping[str, Sequence[Windows]]) -> None:
        """Settle what statistics need to know beforehand (the bins of histograms) from some documents of each language.

        The same documents give the same settings; without such a statistic nothing happens.
        """
        needs = self.scouts()
        if not needs:
            return
        options = replace(self.options, batch_tokens=self.batch_tokens)
        scout = replace(self, needs=needs, options=options, settings={})
        shards = [scout.record_shard(tag, found) for tag, found in documents.items()]
        for need in self._with_scout():
            site = need[1]
            totals = {tag: t for shard in shards for tag, t in shard[site].totals.items()}
            tensors = {name: tensor for shard in shards for name, tensor in shard[site].tensors.items()}
            scouted = Statistics(
                site, self.neuron_map.layer_widths, totals, tensors, component=self.neuron_map.component
            )
            self.settings[need] = self._kinds[need].prepare(scouted)

    def record_shard(
        self, language: str, documents: Sequence[Windows], seen: Seen | None = None
    ) -> dict[str, Statistics]:
        """Return the statistics of one shard, by site; `seen(tokens)` is called after every batch.

        Running out of memory takes back what was seen (a negative number), halves the batch and starts the shard
        again. Raises `ModelError` when not even one row fits.
        """
        done: list[int] = []
        longest = max(len(window.tokens) for windows in documents for window in windows)

        def halve() -> bool:
            if self.batch_tokens <= longest:
                return False
            self.batch_tokens //= 2
            if seen is not None and done:
                seen(-sum(done))
            done.clear()
            return True

        try:
            return until_it_fits(lambda: self._record(language, documents, done, seen), halve)
        except torch.OutOfMemoryError as error:
            raise ModelError(f"a row of {longest} tokens does not fit into memory; lower max_length") from error

    def _with_scout(self) -> list[Needed]:
        return [need for need, kind in self._kinds.items() if kind.scout is not None]

    def _record(
        self, language: str, documents: Sequence[Windows], done: list[int], seen: Seen | None
    ) -> dict[str, Statistics]:
        """Return the statistics of one shard; the tokens of every batch are put into `done` and reported to `seen`."""
        windows = [window for found in documents for window in found]
        require_known(windows, self._vocabulary)
        places = np.array([place for place, found in enumerate(documents) for _ in found], dtype=np.int64)
        counted = np.array([sum(window.counted for window in found) for found in documents], dtype=np.int64)
        made = {need: kind(self._shard(need, counted)) for need, kind in self._kinds.items()}
        with evaluating(self.model):
            for batch in self._batches(windows):
                self._run(batch, places[batch.rows], made)
                done.append(batch.counted)
                if seen is not None:
                    seen(batch.counted)
        totals = {language: LanguageTotals(int(counted.sum()), len(documents))}
        result: dict[str, Statistics] = {}
        for site in dict.fromkeys(site for _, site in made):
            here = {need[0]: accumulator for need, accumulator in made.items() if need[1] == site}
            result[site] = Statistics(
                site,
                self.neuron_map.layer_widths,
                totals,
                {
                    f"{statistic}/{name}/{language}": tensor
                    for statistic, accumulator in here.items()
                    for name, tensor in self._tensors(statistic, accumulator, len(documents)).items()
                },
                dict(self.provenance),
                self.neuron_map.component,
                {name: self._formats[name] for name in here},
            )
        return result

    def _tensors(self, statistic: str, accumulator: Accumulator, documents: int) -> dict[str, NDArray[Any]]:
        """Return a shard's tensors; raises `PluginError` for one without rule, or without a row for every document."""
        found, rules = accumulator.tensors(), self._formats[statistic].tensors
        for name, tensor in found.items():
            if name not in rules:
                raise PluginError(
                    f"statistic {statistic} gave a tensor {name!r} for which it declares no merge rule; "
                    f"declared: {', '.join(rules)}"
                )
            if rules[name] == "concatenate" and tensor.shape[:1] != (documents,):
                raise PluginError(
                    f"statistic {statistic} gave {name!r} of shape {tensor.shape}, which is concatenated by "
                    f"document; expected {documents} rows, one per document of the shard"
                )
        return found

    def _batches(self, windows: Sequence[EncodedDocument]) -> Iterator[Batch]:
        room = Room(
            self.batch_tokens,
            overhead_on(self._device.type),
            together=self.options.together,
            longest=self._longest,
        )
        return batches(windows, room)

    def _shard(self, need: Needed, counted: NDArray[np.int64]) -> Shard:
        return Shard(
            self.model, self.neuron_map, need[1], self._home, counted, self.settings.get(need, {}), self._scratch
        )

    def _run(self, batch: Batch, places: NDArray[np.int64], made: Mapping[Needed, Accumulator]) -> None:
        """Run one batch and pass its activations on; raises `ModelError` when a layer was not reached."""
        selection = Selection(batch, places, self._home)
        tokens = torch.from_numpy(batch.tokens).to(self._device)
        for quantity, some in self._passes(made):
            dispatch = Dispatch(selection, some, layer_starts(self.neuron_map), self._home, self._scratch)
            if quantity is None:
                with torch.inference_mode(), observe(self.model, self.neuron_map, dispatch.sites, dispatch):
                    self._forward(tokens)
            else:
                mask = torch.from_numpy(batch.mask).to(self._device)
                for observation, gradient in with_gradients(
                    self.model, self.neuron_map, dispatch.sites, quantity, tokens=tokens, counted=mask
                ):
                    with torch.no_grad():
                        dispatch(observation, gradient)
            self._require_passed(dispatch)

    def _passes(
        self, made: Mapping[Needed, Accumulator]
    ) -> Iterator[tuple[Quantity | None, Mapping[Needed, Accumulator]]]:
        """Yield one pass a kind of gradient; what needs none goes along with the first."""
        plain = {need: found for need, found in made.items() if not found.gradient}
        for quantity in self._gradients:
            yield quantity, plain | {need: found for need, found in made.items() if found.gradient == quantity}
            plain = {}
        if plain:
            yield None, plain

    def _require_passed(self, dispatch: Dispatch) -> None:
        missed = {(site, layer.index) for site in dispatch.sites for layer in self.neuron_map.layers} - dispatch.passed
        if missed:
            site, layer = min(missed)
            raise ModelError(
                f"layer {layer} was not reached at site {site!r} by a forward pass, so it cannot be recorded"
            )


def _refuse_repeated_layers(neuron_map: NeuronMap) -> None:
    repeated = next((layer for layer in neuron_map.layers if layer.passes > 1), None)
    if repeated is not None:
        raise ModelError(
            f"layer {repeated.name} runs {repeated.passes} times per token, so that shares of tokens would exceed 1; "
            "recording expects layers that run once"
        )


def _spread(model: nn.Module) -> bool:
    return len({parameter.device for parameter in model.parameters()}) > 1


def shards_of(documents: Iterable[Windows], size: int) -> Iterator[list[Windows]]:
    """Cut documents into lists of `size`, the last one shorter."""
    shard: list[Windows] = []
    for document in documents:
        shard.append(document)
        if len(shard) == size:
            yield shard
            shard = []
    if shard:
        yield shard
