"""A worker: one loaded model, and what is done with it: record statistics, evaluate jobs.

A worker is made from a resolved specification alone, so that another process or machine can make the same one.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from nharness.cells import Cell, CellOutcome
from nharness.corpora import Corpus
from nharness.errors import CellError, NharnessError
from nharness.evaluation.perplexity import PerplexityEngine
from nharness.evaluation.windows import default_policy
from nharness.models import EditReport, apply_edits, load_model, locate
from nharness.models.allocator import save_memory
from nharness.plugins import import_named
from nharness.recording.batch_size import until_it_fits
from nharness.run.plan.resolve import Resolved
from nharness.run.versions import installed
from nharness.run.work.donors import DonorText, donor_edits
from nharness.run.work.edits import to_edits
from nharness.run.work.jobs import Before, Done, Job, cell_key
from nharness.run.work.measuring.protocol import Bench, Measuring, Product
from nharness.run.work.texts import LanguageText, beginnings, excerpts
from nharness.sources import engine_digest, source_digest
from nharness.task import TaskSpec

FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    SystemExit,
    TypeError,
    ValueError,
)
"""What models, tasks and plug-ins of others raise while a cell is evaluated; the cell fails, and the rest goes on."""
WHICH_MODEL = ("dtype", "gguf_file", "revision", "subfolder", "tokenizer", "trust_remote_code")
"""Model arguments that say which weights, tokenizer or type; their fingerprints stand for them in a content key."""


@dataclass(frozen=True)
class _Made:
    """What some cells share: the product, or why there is none, and how many activations the edit reached meanwhile."""

    cells: tuple[Cell, ...]
    product: Product | None
    edited: int
    seconds: float
    backend: str
    reason: str = ""


class Worker:
    """A loaded model with its evaluation texts; evaluates jobs one after the other."""

    def __init__(self, resolved: Resolved) -> None:
        self.resolved = resolved
        model, plugins = resolved.spec.model, resolved.plugins
        save_memory()
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
        self._described: dict[TaskSpec, Mapping[str, Any]] = {}
        self._texts: dict[tuple[str, str], LanguageText] = {}
        self._kinds: dict[str, Measuring] = {}
        asked = model.batch_tokens
        self.engine = PerplexityEngine(
            self.loaded.model,
            self.loaded.tokenizer,
            policy=default_policy(self.loaded.model, self.loaded.tokenizer, window=model.max_length),
            batch_tokens=None if asked == "auto" else asked,
            together=self.loaded.together,
        )

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
            "neurons": self.neuron_map.digest,
            "nharness": [installed("nharness"), engine_digest()],
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
        return self._text(language, "sample" if sample else "excerpts")

    def beginnings(self, language: str) -> LanguageText:
        """Return the whole documents that what is written goes on from."""
        return self._text(language, "beginnings")

    def _text(self, language: str, kind: str) -> LanguageText:
        if (language, kind) not in self._texts:
            corpus, spec = self.resolved.corpus, self.resolved.spec
            if kind == "excerpts":
                found = excerpts(corpus, self.engine, language, max_tokens=spec.corpus.eval_tokens)
            elif kind == "beginnings":
                found = beginnings(corpus, self.engine, self.text(language))
            else:
                found = self.text(language).sample(spec.controls.eval_tokens)
            self._texts[language, kind] = found
        return self._texts[language, kind]

    def key(self, cell: Cell, digest: str, identity: Mapping[str, Any]) -> str:
        """Return the cell's content key.

        digest: of the changes. identity: of the model and software where the cell is evaluated.
        """
        task, spec = self.task(cell), self.resolved.spec
        what: dict[str, Any] = {
            "task": {**asdict(task), "include_path": ""}
        }  # its content counts, as `Measuring.key` has it
        what |= {"source": source_digest(self._measuring(task.kind)), **self._measuring(task.kind).key(cell, task)}
        if cell.edition is not None:
            what["edit"] = {"backend": spec.edit_backend, "scope": spec.scope}
        return cell_key(identity, digest, what)

    def described(self, task: TaskSpec) -> Mapping[str, Any]:
        """Return what a record says of a task that only the model tells; found out once, before an edit stands."""
        if task not in self._described:
            self._described[task] = self._measuring(task.kind).described(task)
        return self._described[task]

    def task(self, cell: Cell) -> TaskSpec:
        """Return what a cell measures."""
        return self._tasks[cell.task, cell.language]

    def evaluate(self, job: Job, corpus: Corpus) -> Iterator[Done]:
        """Yield every cell of the job: its items, or the reason why it failed. The model is left as it was.

        corpus: where values of other text are drawn from.
        """
        spec = self.resolved.spec
        left = dict(zip(job.cells, job.keys, strict=True))
        try:
            for task in dict.fromkeys(self.task(cell) for cell in job.cells):
                with suppress(NharnessError, *FAILURES):  # its cells fail with it, and say why
                    self.described(task)
            edits = to_edits(job.changes, self.neuron_map)
            text = DonorText(self.engine, corpus, lambda tag: self.text(tag).documents)
            languages = dict.fromkeys(cell.language for cell in job.cells)
            waiting = []
            with (
                donor_edits(job.changes, self.neuron_map, text, languages) as drawn,
                apply_edits(
                    self.loaded.model, self.neuron_map, [*edits, *drawn], backend=spec.edit_backend, scope=spec.scope
                ) as report,
            ):
                for cells in self._sharing(job.cells):
                    made = self._made(cells, report, job.before)
                    if made.product is not None and self._measuring(self.task(cells[0]).kind).on_intact:
                        waiting.append(made)
                        continue
                    for cell, outcome in self._outcomes(made):
                        yield Done(cell, left.pop(cell), outcome)
            for made in waiting:
                for cell, outcome in self._outcomes(made):
                    yield Done(cell, left.pop(cell), outcome)
        except (NharnessError, *FAILURES) as error:
            done = CellOutcome("failed", reason=failure(error))
            yield from (Done(cell, key, done) for cell, key in left.items())

    def _measuring(self, kind: str) -> Measuring:
        """Return the working half of a kind of task, made when it is first asked for."""
        if kind not in self._kinds:
            task = next(task for task in self._tasks.values() if task.kind == kind)
            path = self.resolved.runner(task).measuring
            made = import_named(path, what=f"kind of task {kind!r}")
            self._kinds[kind] = made(
                Bench(
                    self.loaded,
                    self.engine,
                    self.resolved.spec,
                    self.resolved.languages,
                    self.text,
                    lambda tag: self.text(tag, sample=True),
                    self.beginnings,
                )
            )
        return self._kinds[kind]

    def _sharing(self, cells: Sequence[Cell]) -> list[tuple[Cell, ...]]:
        """Return the cells, those that share a product together."""
        groups: dict[Hashable, list[Cell]] = {}
        for cell in cells:
            task = self.task(cell)
            groups.setdefault((task.kind, self._measuring(task.kind).shared(cell, task)), []).append(cell)
        return [tuple(group) for group in groups.values()]

    def _made(self, cells: tuple[Cell, ...], report: EditReport, intact: Before) -> _Made:
        """Return the product of cells that share one; where memory runs out it is begun again with half the batch."""
        started, cell = time.perf_counter(), cells[0]
        task = self.task(cell)
        measuring = self._measuring(task.kind)

        def attempt() -> tuple[Product, int]:
            before = report.edited_activations
            product = measuring.make(cell, task, intact.get((cell.task, cell.language)))
            edited = report.edited_activations - before
            if cell.edition is not None and not edited:
                raise CellError("the edit reached no activation: nothing was deactivated during the evaluation")
            return product, edited

        try:
            product, edited = until_it_fits(attempt, measuring.halve)
        except (NharnessError, *FAILURES) as error:
            return _Made(cells, None, 0, time.perf_counter() - started, "", failure(error))
        backend = report.backend if cell.edition is not None else ""
        return _Made(cells, product, edited, time.perf_counter() - started, backend)

    def _outcomes(self, made: _Made) -> Iterator[tuple[Cell, CellOutcome]]:
        """Yield every cell of a product with its outcome; what the product cost is on the account of the first."""
        seconds, tokens = made.seconds, 0 if made.product is None else made.product.tokens
        for cell in made.cells:
            if made.product is None:
                yield cell, CellOutcome("failed", reason=made.reason, seconds=made.seconds)
                continue
            task, started = self.task(cell), time.perf_counter()
            measuring = self._measuring(task.kind)
            try:
                found = measuring.measured(cell, task, made.product)
            except (NharnessError, *FAILURES) as error:
                yield cell, CellOutcome("failed", reason=failure(error), seconds=time.perf_counter() - started)
                continue
            outcome = CellOutcome(
                "passed",
                found.items,
                made.edited,
                tokens + found.tokens,
                seconds + time.perf_counter() - started,
                noise_floor=found.noise_floor,
                available=found.available,
                spared=found.spared,
                note="; ".join(text for text in (measuring.note, found.note) if text),
                backend=made.backend,
            )
            seconds, tokens = 0.0, 0
            yield cell, outcome


def failure(error: BaseException) -> str:
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
