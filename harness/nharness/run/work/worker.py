"""A worker: one loaded model, and what is done with it: record statistics, evaluate jobs.

A worker is made from a resolved specification alone, so that another process or machine can make the same one.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from nharness.cells import Cell, CellOutcome
from nharness.errors import CellError, NharnessError
from nharness.evaluation.items import Item
from nharness.models import EditReport, apply_edits, load_model, locate
from nharness.recording.batch_size import release_memory
from nharness.run.plan.resolve import Resolved
from nharness.run.versions import installed
from nharness.run.work.donors import DonorText, drawn_edits
from nharness.run.work.edits import to_edits
from nharness.run.work.generation import Writer
from nharness.run.work.jobs import Before, Done, Job, cell_key
from nharness.run.work.measure import Measurer
from nharness.run.work.stopping import described, rule_for, score_until
from nharness.run.work.texts import LanguageText, is_sampled

FAILURES = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What models, tasks and plug-ins of others raise while a cell is evaluated; the cell fails, and the rest goes on."""
WHICH_MODEL = ("dtype", "gguf_file", "revision", "subfolder", "tokenizer", "trust_remote_code")
"""Model arguments that say which weights, tokenizer or type; their fingerprints stand for them in a content key."""


class Worker:
    """A loaded model with its evaluation texts; evaluates jobs one after the other."""

    def __init__(self, resolved: Resolved) -> None:
        self.resolved = resolved
        model, plugins = resolved.spec.model, resolved.plugins
        self.loaded = load_model(
            model.name,
            dict(model.args),
            device=model.device,
            dtype=model.dtype,
            device_map=model.device_map,
            trust_remote_code=model.trust_remote_code,
            named={name: plugins.resolve("models", name) for name in plugins.entries("models")},
        )
        finders = [plugins.resolve("architectures", name) for name in plugins.entries("architectures")]
        self.neuron_map = locate(self.loaded.model, finders)
        self._tasks = {(task.name, task.language): task for task in resolved.tasks}
        self._texts: dict[tuple[str, str], LanguageText] = {}
        self._measurer = Measurer(self.loaded, resolved.spec)
        self._writer = Writer(self.loaded, self._measurer.engine, self.text, resolved.languages)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything about the model and the software that can change a number."""
        return {
            "model": self.loaded.fingerprint,
            "tokenizer": self.loaded.tokenizer_fingerprint,
            "dtype": self.dtype,
            "device": self.device.type,
            "batch_tokens": self.resolved.spec.model.batch_tokens,
            "max_length": self.resolved.spec.model.max_length,
            "args": {name: value for name, value in self.resolved.spec.model.args.items() if name not in WHICH_MODEL},
            "nharness": installed("nharness"),
            "torch": torch.__version__,
            "transformers": installed("transformers"),
        }

    @property
    def dtype(self) -> str:
        """The type of the model's first parameter, such as `float32`."""
        return str(next(self.loaded.model.parameters()).dtype).removeprefix("torch.")

    @property
    def device(self) -> torch.device:
        """Where the model's first parameter lies."""
        return next(self.loaded.model.parameters()).device

    def checksum(self) -> tuple[int, ...]:
        """Return a number per parameter that changes with any of its bits, to see that edits were undone."""
        return tuple(_bit_sum(parameter) for parameter in self.loaded.model.parameters())

    def text(self, language: str, *, sample: bool = False) -> LanguageText:
        """Return the language's evaluation text, or the sample of it that controls are judged on."""
        kind = "sample" if sample else "whole"
        if (language, kind) not in self._texts:
            self._texts[language, kind] = self._encode(language, sample=sample)
        return self._texts[language, kind]

    def key(self, cell: Cell, digest: str, identity: Mapping[str, Any]) -> str:
        """Return the cell's content key.

        digest: of the changes. identity: of the model and software where the cell is evaluated.
        """
        task, spec = self.task(cell), self.resolved.spec
        what = self._measurer.describe(task)
        if task.kind == "generation":
            what |= self._writer.describe(task)
        elif task.kind != "lm-eval":
            what["text"] = self.text(cell.language, sample=_sampled(cell, task.kind)).digest
        if cell.edition is not None:
            what["edit"] = {"backend": spec.edit_backend, "scope": spec.scope}
        elif task.kind == "perplexity":
            what["noise"] = self.text(cell.language, sample=True).digest  # what the noise floor is measured on
        rule = rule_for(cell, task.kind, spec)
        if rule is not None:
            what["precision"] = described(rule, spec.seed)
        return cell_key(identity, digest, what)

    def task(self, cell: Cell) -> Any:
        """Return what a cell measures."""
        return self._tasks[cell.task, cell.language]

    def evaluate(self, job: Job) -> Iterator[Done]:
        """Yield every cell of the job: its items, or the reason why it failed. The model is left as it was."""
        spec = self.resolved.spec
        left = dict(zip(job.cells, job.keys, strict=True))
        try:
            edits = to_edits(job.changes, self.neuron_map)
            text = DonorText(self._measurer.engine, self.resolved.corpus, lambda tag: self.text(tag).documents)
            languages = dict.fromkeys(cell.language for cell in job.cells)
            with (
                drawn_edits(job.changes, self.neuron_map, text, languages) as drawn,
                apply_edits(
                    self.loaded.model, self.neuron_map, [*edits, *drawn], backend=spec.edit_backend, scope=spec.scope
                ) as report,
            ):
                writing = [(cell, self.task(cell)) for cell in job.cells if self.task(cell).kind == "generation"]
                for cell in job.cells:
                    if self.task(cell).kind != "generation":
                        yield Done(cell, left.pop(cell), self._cell(cell, report, job.before))
                written = self._writer.write([task for _, task in writing], report)
            for cell, outcome in self._writer.judged(writing, written):
                yield Done(cell, left.pop(cell), outcome)
        except (NharnessError, *FAILURES) as error:
            done = CellOutcome("failed", reason=failure(error))
            yield from (Done(cell, key, done) for cell, key in left.items())

    def _cell(self, cell: Cell, report: EditReport, intact: Before) -> CellOutcome:
        """Return a cell's outcome; where memory runs out it is begun again with half the batch."""
        started, kind = time.perf_counter(), self.task(cell).kind
        while True:
            before = report.edited_activations
            try:
                items, tokens, floor = self._items(cell, intact.get((cell.task, cell.language)))
                edited = report.edited_activations - before
                if cell.edition is not None and not edited:
                    raise CellError("the edit reached no activation: nothing was deactivated while this was evaluated")
            except (NharnessError, *FAILURES) as error:
                if not isinstance(error, torch.OutOfMemoryError) or not self._measurer.halve(kind):
                    return CellOutcome("failed", reason=failure(error), seconds=time.perf_counter() - started)
            else:
                break
            release_memory()  # not before the error, which holds what did not fit, is gone
        outcome = CellOutcome(
            "passed",
            items,
            edited,
            tokens,
            time.perf_counter() - started,
            noise_floor=floor,
            note=self._measurer.note(kind),
            backend=report.backend if cell.edition is not None else "",
        )
        if rule_for(cell, kind, self.resolved.spec) is None:
            return outcome
        whole = self.text(cell.language)
        return replace(outcome, available=len(whole.documents), spared=whole.tokens - tokens)

    def _items(self, cell: Cell, before: Sequence[Item] | None) -> tuple[Sequence[Item], int, float | None]:
        """Return a cell's items, the tokens they cost, and of a baseline of perplexity its noise floor."""
        task, spec = self.task(cell), self.resolved.spec
        text = self.text(cell.language, sample=_sampled(cell, task.kind)) if task.kind != "lm-eval" else None
        rule = rule_for(cell, task.kind, spec)
        if rule is not None and text is not None and before is not None:
            return *score_until(
                lambda part: self._measurer.measure(task, part)[0], text, before, rule=rule, seed=spec.seed
            ), None
        items, tokens = self._measurer.measure(task, text)
        judged = cell.edition is None and task.kind == "perplexity"
        return items, tokens, self._measurer.noise_floor(self.text(cell.language, sample=True)) if judged else None

    def _encode(self, language: str, *, sample: bool) -> LanguageText:
        spec = self.resolved.spec
        if sample:
            return self.text(language).sample(spec.controls.eval_tokens)
        documents = self.resolved.corpus.documents(language, "eval")
        encoded = self._measurer.engine.encode(documents, language=language, max_tokens=spec.corpus.eval_tokens)
        return LanguageText(language, encoded)


def failure(error: Exception) -> str:
    """Return why a cell failed, in one line."""
    what = " ".join(str(error).split())[:500]
    if isinstance(error, NharnessError):
        return what
    if isinstance(error, torch.OutOfMemoryError):
        return f"out of memory at the smallest batch: {what}"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {what} (at {Path(last.filename).name}:{last.lineno})"


def _bit_sum(parameter: torch.Tensor) -> int:
    whole = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[parameter.element_size()]
    return 0 if parameter.is_meta else int(parameter.detach().contiguous().view(whole).sum(dtype=torch.int64))


def _sampled(cell: Cell, kind: str) -> bool:
    return cell.edition is not None and cell.edition.control is not None and is_sampled(kind)
