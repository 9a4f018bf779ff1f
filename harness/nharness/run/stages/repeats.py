"""Detection repeated: on disjoint parts of the corpus, and on text that lost its languages.

1. The detection text of every language is dealt out into blocks, sources whole, in turn; each block's statistics are
   recorded apart and kept in the store.
2. `folds`: fold i has the blocks i, i + folds, ... of every language; detection runs on each fold, and the repeats are
   compared with each other.
3. `null`: the blocks of all languages are dealt out at random, as many to each label as before; detection runs on text
   without languages, and what it still finds is counted.

Files of neurons are not repeated, nor is what needs every neuron's ablation: the run says so, and refuses where there
is nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from nharness.analysis.stability import LabelShuffle, label_shuffle, stability
from nharness.detector import Detector, Evidence, Need
from nharness.errors import FileFormatError, NharnessError, UsageError, during
from nharness.events import Listener, Noted, StageAdvanced, StageFinished, StageStarted
from nharness.neurons import Detection
from nharness.record.results import ShuffledCount, Stability
from nharness.recording import Text, encoded_documents
from nharness.recording.passes import SCOUTED_DOCUMENTS
from nharness.recording.recorder import Parts
from nharness.run.plan.resolve import why_not_repeated
from nharness.run.stages.detect import Detected
from nharness.run.store import Store, content_key
from nharness.run.work.recipe import Recipe, encoding_policy, recipe_for, recorder_of, recording_key
from nharness.run.work.worker import Worker
from nharness.spec import RunSpec
from nharness.statistics import Fold, LanguageTotals, Statistics
from nharness.statistics import load as load_statistics

STAGE = "repeat"
LEAST_BLOCKS = 8
SHUFFLES = 10
Block = tuple[str, int]
"""A language and the number of one of its blocks."""


def repeat_detection(
    worker: Worker, detected: Mapping[str, Detected], store: Store, listen: Listener
) -> dict[str, tuple[Stability, ...]]:
    """Return, by detector, the agreement between folds and what shuffled labels leave; empty where not asked for."""
    spec = worker.resolved.spec
    if not (spec.folds or spec.null):
        return {}
    detectors = {}
    for name in detected:
        detector = worker.resolved.detectors[name]
        reason = why_not_repeated(detector)
        if reason:
            listen(Noted("note", f"{name} is not repeated: {reason}"))
        else:
            detectors[name] = detector
    blocks = Blocks(worker, detectors, store, listen, _count(spec.folds, null=spec.null))
    found: dict[str, list[Stability]] = {name: [] for name in detectors}
    if spec.folds:
        for name, repeats in _repeated(detectors, map(blocks.evidence, blocks.folds(spec.folds)), spec, listen).items():
            found[name].append(stability(repeats, kind="folds"))
    if spec.null:
        dealt = map(blocks.evidence, blocks.shuffles(SHUFFLES, spec.seed))
        for name, others in _repeated(detectors, dealt, spec, listen).items():
            whole = detected[name].detection
            observed = whole if spec.budget is None else whole.cut(spec.budget)
            found[name].append(_as_part(label_shuffle(observed, others), stability([observed, *others])))
    blocks.finish()
    return {name: tuple(parts) for name, parts in found.items()}


def _count(folds: int, *, null: bool) -> int:
    """Return the number of blocks: a multiple of the folds, and enough of them where they are shuffled."""
    if not folds:
        return LEAST_BLOCKS
    return folds if not null else folds * -(-LEAST_BLOCKS // folds)


def _repeated(
    detectors: Mapping[str, Detector], evidence: Iterable[Evidence], spec: RunSpec, listen: Listener
) -> dict[str, list[Detection]]:
    """Return every detector's result on each evidence; one that fails on any of them is told and left out."""
    found: dict[str, list[Detection]] = {name: [] for name in detectors}
    for each in evidence:
        for name in tuple(found):
            try:
                with during(detector=name):
                    detection = detectors[name](each)
            except NharnessError as error:
                del found[name]
                listen(Noted("warning", f"{error}; it is not repeated"))
            else:
                found[name].append(detection if spec.budget is None else detection.cut(spec.budget))
    return found


def _as_part(shuffle: LabelShuffle, agreement: Stability) -> Stability:
    rows = {**shuffle.languages, **shuffle.kinds}
    counts = tuple(ShuffledCount(what=what, observed=n.observed, mean=n.mean, p=n.p) for what, n in rows.items())
    repeats = agreement.repeats - 1
    return agreement.model_copy(update={"kind": "label_shuffle", "repeats": repeats, "shuffled": counts})


@dataclass
class Blocks:
    """The detection text in blocks, recorded when first asked for."""

    worker: Worker
    detectors: Mapping[str, Detector]
    store: Store
    listen: Listener
    count: int

    def folds(self, folds: int) -> list[dict[str, list[Block]]]:
        """Return each fold's blocks by language."""
        tags = self.worker.resolved.languages
        return [{tag: [(tag, b) for b in range(fold, self.count, folds)] for tag in tags} for fold in range(folds)]

    def shuffles(self, number: int, seed: int) -> Iterator[dict[str, list[Block]]]:
        """Yield all blocks dealt out to the languages at random; the same for the same seed."""
        tags = self.worker.resolved.languages
        every = [(tag, block) for tag in tags for block in range(self.count)]
        for draw in range(number):
            order = np.random.default_rng([seed, draw]).permutation(len(every))
            dealt = [every[place] for place in order]
            yield {tag: dealt[row * self.count : (row + 1) * self.count] for row, tag in enumerate(tags)}

    def evidence(self, chosen: Mapping[str, Sequence[Block]]) -> Evidence:
        """Return the statistics of blocks added up under the labels they were given."""
        folds: dict[str, Fold] = {}
        for tag, blocks in chosen.items():
            for block in blocks:
                for site, part in self.statistics(block).items():
                    folds.setdefault(site, Fold()).add(relabelled(part, block[0], tag))
        return Evidence({site: fold.result() for site, fold in folds.items()})

    def statistics(self, block: Block) -> dict[str, Statistics]:
        """Return one block's statistics by site, from the store or recorded."""
        key = content_key(stage="block", block=block, count=self.count, **self._key)
        paths = {site: self.store.path("blocks", f"{key}-{site}", "safetensors") for site in self._sites}
        try:
            return {site: load_statistics(path) for site, path in paths.items()}
        except FileFormatError:  # absent, or damaged
            made = self._recorder.record_shard(block[0], self._documents[block], self._seen)
            for site, path in paths.items():
                made[site].save(path)
            return {site: made[site] for site in paths}

    def finish(self) -> None:
        """Tell that all is done."""
        tags = len(self.worker.resolved.languages)
        self.listen(StageFinished(STAGE, 0.0, reused=False, summary=f"{self.count} blocks of {tags} languages"))

    @cached_property
    def _needs(self) -> tuple[tuple[str, str], ...]:
        needs = [need for detector in self.detectors.values() for need in detector.needs()]
        return tuple(sorted({(n.statistic, n.site) for n in (*needs, Need("activation_count", "gate"))}))

    @cached_property
    def _sites(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(site for _, site in self._needs))

    @cached_property
    def _recipe(self) -> Recipe:
        return recipe_for(self.worker, self._needs)

    @cached_property
    def _key(self) -> dict[str, Any]:
        return recording_key(self.worker, self._recipe, self.worker.identity)

    @cached_property
    def _recorder(self) -> Any:
        recorder = recorder_of(self.worker, self._recipe)
        if recorder.scouts():
            tags = self.worker.resolved.languages
            recorder.prepare({tag: self._documents[tag, 0][:SCOUTED_DOCUMENTS] for tag in tags})
        return recorder

    @cached_property
    def _documents(self) -> dict[Block, list[Parts]]:
        """The encoded documents of every block; sources are dealt out whole where there are enough of them."""
        resolved = self.worker.resolved
        most = resolved.spec.corpus.detect_tokens
        self.listen(StageStarted(STAGE, len(resolved.languages) * most, "tokens"))
        found: dict[Block, list[Parts]] = {}
        for tag in resolved.languages:
            documents = {tag: resolved.corpus.documents(tag, "detect")}
            text = Text(self.worker.loaded.tokenizer, documents, encoding_policy(resolved.spec), most)
            parts = list(encoded_documents(text, tag))
            sources = [each[0].cluster for each in parts]
            if len(set(sources)) < self.count:
                sources = [each[0].id for each in parts]
            numbers = {source: place for place, source in enumerate(dict.fromkeys(sources))}
            if len(numbers) < self.count:
                raise UsageError(
                    f"--folds and --null deal a language's detection text into {self.count} parts, a document or more "
                    f"each; {tag} has {len(numbers)} within --detect-tokens {most}"
                )
            for source, each in zip(sources, parts, strict=True):
                found.setdefault((tag, numbers[source] % self.count), []).append(each)
        return found

    def _seen(self, tokens: int) -> None:
        self.listen(StageAdvanced(STAGE, tokens, tokens))


def relabelled(part: Statistics, tag: str, label: str) -> Statistics:
    """Return one language's statistics as another's."""
    totals: dict[str, LanguageTotals] = {label: part.totals[tag]}
    tensors = {f"{name.removesuffix(tag)}{label}": tensor for name, tensor in part.tensors.items()}
    return replace(part, totals=totals, tensors=tensors)
