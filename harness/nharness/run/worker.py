"""A worker: one loaded model, and what is done with it: record statistics, evaluate jobs.

A worker is made from a resolved specification alone, so that another process or machine can make the same one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import torch

from nharness.errors import CellError, NharnessError
from nharness.evaluation.items import Item
from nharness.models import EditReport, apply_edits, load_model, locate
from nharness.run.cells import Cell, CellOutcome
from nharness.run.draws import DonorText, drawn_edits
from nharness.run.edits import to_edits
from nharness.run.jobs import Before, Done, Job, cell_key
from nharness.run.measure import Measurer
from nharness.run.resolve import Resolved
from nharness.run.stepwise import described, rule_for, score_until
from nharness.run.texts import LanguageText, is_sampled
from nharness.run.versions import installed
from nharness.run.writing import Writer


class Worker:
    """A loaded model with its evaluation texts; evaluates jobs one after the other."""

    def __init__(self, resolved: Resolved) -> None:
        self.resolved = resolved
        model, plugins = resolved.spec.model, resolved.plugins
        self.loaded = load_model(
            model.name, dict(model.args), device=model.device, dtype=model.dtype, device_map=model.device_map,
            trust_remote_code=model.trust_remote_code,
            named={name: plugins.resolve("models", name) for name in plugins.entries("models")},
        )  # fmt: skip
        finders = [plugins.resolve("architectures", name) for name in plugins.entries("architectures")]
        self.neuron_map = locate(self.loaded.model, finders)
        self._texts: dict[tuple[str, str], LanguageText] = {}
        self._measurer = Measurer(self.loaded, resolved.spec)
        self._writer = Writer(self.loaded, self._measurer.engine, self.text, resolved.languages)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything about the model and the software that can change a number."""
        return {
            "model": self.loaded.fingerprint, "tokenizer": self.loaded.tokenizer_fingerprint,
            "dtype": str(next(self.loaded.model.parameters()).dtype), "device": self.device.type,
            "batch_tokens": self.resolved.spec.model.batch_tokens, "max_length": self.resolved.spec.model.max_length,
            "nharness": installed("nharness"), "torch": torch.__version__, "transformers": installed("transformers"),
        }  # fmt: skip

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

    def key(self, cell: Cell, digest: str) -> str:
        """Return the cell's content key; `digest` is that of the changes."""
        task = self.task(cell)
        what = self._measurer.describe(task)
        if task.kind == "generation":
            what |= self._writer.describe(task)
        elif task.kind != "lm-eval":
            what["text"] = self.text(cell.language, sample=_sampled(cell, task.kind)).digest
        rule = rule_for(cell, task.kind, self.resolved.spec)
        if rule is not None:
            what["precision"] = described(rule, self.resolved.spec.seed)
        return cell_key(self.identity, digest, what)

    def task(self, cell: Cell) -> Any:
        """Return what a cell measures."""
        return next(t for t in self.resolved.tasks if (t.name, t.language) == (cell.task, cell.language))

    def evaluate(self, job: Job) -> Iterator[Done]:
        """Yield every cell of the job: its items, or the reason why it failed. The model is left as it was."""
        spec = self.resolved.spec
        left = dict(zip(job.cells, job.keys, strict=True))
        try:
            edits = to_edits(job.changes, self.neuron_map)
            text = DonorText(self._measurer.engine, self.resolved.corpus, lambda tag: self.text(tag).documents)
            languages = dict.fromkeys(cell.language for cell in job.cells)
            with drawn_edits(job.changes, self.neuron_map, text, languages) as drawn, apply_edits(
                self.loaded.model, self.neuron_map, [*edits, *drawn], backend=spec.edit_backend, scope=spec.scope
            ) as report:
                writing = [(cell, self.task(cell)) for cell in job.cells if self.task(cell).kind == "generation"]
                for cell in job.cells:
                    if self.task(cell).kind != "generation":
                        yield Done(cell, left.pop(cell), self._cell(cell, report, job.before))
                written = self._writer.write([task for _, task in writing], report)
            for cell, outcome in self._writer.judged(writing, written):
                yield Done(cell, left.pop(cell), outcome)
        except NharnessError as error:
            done = CellOutcome("failed", reason=str(error))
            yield from (Done(cell, key, done) for cell, key in left.items())

    def _cell(self, cell: Cell, report: EditReport, intact: Before) -> CellOutcome:
        started, before = time.perf_counter(), report.edited_activations
        task = self.task(cell)
        try:
            text = self.text(cell.language, sample=_sampled(cell, task.kind)) if task.kind != "lm-eval" else None
            items, tokens = self._items(cell, text, intact.get((cell.task, cell.language)))
            edited = report.edited_activations - before
            if cell.edition is not None and not edited:
                raise CellError("the edit reached no activation: nothing was deactivated while this was evaluated")
        except NharnessError as error:
            return CellOutcome("failed", reason=str(error), seconds=time.perf_counter() - started)
        except torch.OutOfMemoryError as error:
            return CellOutcome("failed", reason=f"out of memory at the smallest batch ({str(error)[:120]})")
        seconds = time.perf_counter() - started
        if cell.edition is not None:
            whole = text if text is not None and rule_for(cell, task.kind, self.resolved.spec) else None
            return CellOutcome(
                "passed", items, edited, tokens, seconds, backend=report.backend,
                available=len(whole.documents) if whole else None, spared=whole.tokens - tokens if whole else 0,
            )  # fmt: skip
        measured = task.kind == "perplexity"
        floor = self._measurer.noise_floor(self.text(cell.language, sample=True)) if measured else None
        return CellOutcome("passed", items, 0, tokens, seconds, noise_floor=floor)

    def _items(
        self, cell: Cell, text: LanguageText | None, before: Sequence[Item] | None
    ) -> tuple[Sequence[Item], int]:
        task, seed = self.task(cell), self.resolved.spec.seed
        rule = rule_for(cell, task.kind, self.resolved.spec)
        if rule is None or text is None or before is None:
            return self._measurer.measure(task, text)
        return score_until(lambda part: self._measurer.measure(task, part)[0], text, before, rule=rule, seed=seed)

    def _encode(self, language: str, *, sample: bool) -> LanguageText:
        spec = self.resolved.spec
        if sample:
            return self.text(language).sample(spec.controls.eval_tokens)
        documents = self.resolved.corpus.documents(language, "eval")
        encoded = self._measurer.engine.encode(documents, language=language, max_tokens=spec.corpus.eval_tokens)
        return LanguageText(language, encoded)


def _bit_sum(parameter: torch.Tensor) -> int:
    whole = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[parameter.element_size()]
    return 0 if parameter.is_meta else int(parameter.detach().contiguous().view(whole).sum(dtype=torch.int64))


def _sampled(cell: Cell, kind: str) -> bool:
    return cell.edition is not None and cell.edition.control is not None and is_sampled(kind)
