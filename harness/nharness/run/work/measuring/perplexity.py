"""Perplexity cells: one item per document, whole texts for targets, samples for control draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nharness.cells import Cell
from nharness.evaluation.items import Item, noise_floor
from nharness.run.work.measuring.protocol import Bench, Measured, Measuring, Product
from nharness.run.work.stopping import described, rule_for, score_until
from nharness.run.work.texts import LanguageText
from nharness.task import TaskSpec


class PerplexityMeasuring(Measuring):
    """The NLL of the evaluation documents; of a baseline, also by how much it depends on how they are batched."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._batch_tokens = bench.engine.batch_tokens

    def key(self, cell: Cell, task: TaskSpec) -> dict[str, Any]:
        """Return the windows, the text, and what a cell stops by."""
        del task
        spec = self.bench.spec
        policy = {name: value for name, value in self.bench.engine.provenance.items() if name != "batch_tokens"}
        what = {"policy": policy, "text": self._text(cell).digest}
        if cell.edition is None:
            what["noise"] = self.bench.sample(cell.language).digest  # what the noise floor is measured on
        rule = rule_for(cell, spec)
        if rule is not None:
            what["precision"] = described(rule, spec.seed)
        return what

    def make(self, cell: Cell, task: TaskSpec, before: Sequence[Item] | None) -> Product:
        """Return the items, as many as decide where a cell may stop before the last."""
        del task
        spec, text = self.bench.spec, self._text(cell)
        rule = rule_for(cell, spec)
        if rule is None:
            items = self._score(text)
            if cell.edition is not None:
                return Product(Measured(items), text.tokens)
            sample = self.bench.sample(cell.language)
            return Product(Measured(items, noise_floor=self._noise_floor(sample, items)), text.tokens + sample.tokens)
        if before is None:
            whole, tokens = list(self._score(text)), text.tokens
        else:
            whole, tokens = score_until(self._score, text, before, rule=rule, seed=spec.seed)
        found = Measured(whole, available=len(text.documents), spared=text.tokens - tokens)
        return Product(found, tokens)

    def halve(self) -> bool:
        """Halve the tokens of a batch for the rest of the run; a single window cannot be cut."""
        before = self._batch_tokens
        self._batch_tokens = before // 2 if before > self.bench.engine.policy.window else before
        self.note = f"memory ran out, so perplexity is measured in batches of {self._batch_tokens} tokens"
        return self._batch_tokens < before

    def _score(self, text: LanguageText) -> tuple[Item, ...]:
        return self.bench.engine.score(text.documents, batch_tokens=self._batch_tokens)

    def _text(self, cell: Cell) -> LanguageText:
        control = cell.edition is not None and cell.edition.control is not None
        return self.bench.sample(cell.language) if control else self.bench.text(cell.language)

    def _noise_floor(self, text: LanguageText, usual: Sequence[Item]) -> float:
        """Return by how much the bits per byte of a text change in batches of other size and company.

        usual: items of the text as it was scored, among others.
        """
        chosen = {document.id for document in text.documents}
        other = self.bench.engine.score_in_other_batches(text.documents, batch_tokens=self._batch_tokens)
        return noise_floor([item for item in usual if item.id in chosen], other)
