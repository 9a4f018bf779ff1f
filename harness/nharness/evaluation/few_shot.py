"""Which few-shot examples an item sees: drawn for that item alone, and never the item itself.

lm-eval draws them one item after the other from one stream of random numbers, so that an item's examples depend on the
items before it; and where a task names no split for them, it may take them from the split that is evaluated, the item
with its answer included. Here, whatever lm-eval's own sampler is:

1. The pool is the split that lm-eval would take: the one that is named, else training, validation, test.
2. An item's examples are drawn with a seed made of the run's few-shot seed and the item's content.
3. What says the same as the item (equal rows, or equal question, choices and answer) is never drawn.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any

from lm_eval.api.samplers import ContextSampler, FirstNSampler

from nharness.errors import CellError
from nharness.replacing import replaced

SPARE = 16  # drawn beyond what is asked, in case some of them say the same as the item
Row = Mapping[str, Any]


class ItemSampler(ContextSampler):  # type: ignore[misc]  # lm-eval publishes no types
    """Stands in for a task's sampler; `item` is the row whose examples are asked for next."""

    def __init__(self, task: Any, seed: int) -> None:
        self.task, self.seed = task, seed
        self.inner = task.sampler
        self.pool: Sequence[Row] = list(self.inner.df)
        self.item: Row = {}

    def begin(self, item: Row) -> None:
        """Say whose examples are asked for next."""
        self.item = item

    def sample(self, n: int, *_asked: Any, **_options: Any) -> Sequence[Row]:
        """Return n examples for the item; raises `CellError` where the pool has fewer that are not the item."""
        if not n:
            return []
        found = self._drawn(n)
        if len(found) < n or any(self._same(row) for row in found):
            left = sum(not self._same(row) for row in self.pool)
            raise CellError(f"{n} few-shot examples were requested, but there are {left} besides the item itself")
        return found

    def set_rnd(self, _seed: int | None) -> ItemSampler:
        """Change nothing: the seed is the item's own."""
        return self

    def _drawn(self, n: int) -> Sequence[Row]:
        seed = item_seed(self.seed, self.item)
        if type(self.inner) is FirstNSampler:
            return self._first(n, self.pool)
        if type(self.inner) is not ContextSampler:
            others = [row for row in self.pool if not self._same(row)]
            theirs: Sequence[Row] = self.inner.replace_df(others).set_rnd(seed).sample(n)
            return theirs
        rnd = Random(seed)  # noqa: S311 - a choice, not a secret
        places = rnd.sample(range(len(self.pool)), min(len(self.pool), n + SPARE))
        found = self._first(n, (self.pool[place] for place in places))
        if len(found) == n:
            return found
        others = [row for row in self.pool if not self._same(row)]
        return rnd.sample(others, min(n, len(others)))

    def _first(self, n: int, rows: Iterable[Row]) -> list[Row]:
        found: list[Row] = []
        for row in rows:
            if not self._same(row):
                found.append(row)
            if len(found) == n:
                break
        return found

    def _same(self, row: Row) -> bool:
        return row == self.item or self._said(row) == self._said(self.item)

    def _said(self, row: Row) -> tuple[str, ...]:
        task = self.task
        choices = task.doc_to_choice(row) if task.config.doc_to_choice is not None else ()
        return repr(task.doc_to_text(row)), repr(choices), repr(task.doc_to_target(row))


class FewShot:
    """The few-shot examples of the tasks that a run loads, all drawn with one seed; a task's pool is read once."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._samplers: dict[Any, ItemSampler] = {}

    def pool(self, task: Any) -> Sequence[Row] | None:
        """Return what a task's examples are drawn from; None where it has no sampler."""
        return None if not hasattr(task, "sampler") else self._sampler(task).pool

    @contextmanager
    def drawn_by_item(self, task: Any) -> Iterator[None]:
        """Let a loaded task of lm-eval's draw its examples as the module says; undone afterwards."""
        plain = task.fewshot_context
        sampler = self._sampler(task) if hasattr(task, "sampler") else None

        def context(doc: Row, *args: Any, **options: Any) -> Any:
            if sampler is None:
                task.set_fewshot_seed(seed=item_seed(self._seed, doc))
            else:
                sampler.begin(doc)
            return plain(doc, *args, **options)

        with ExitStack() as undo:
            if sampler is not None:
                undo.enter_context(replaced(task, "sampler", sampler))
                undo.enter_context(replaced(task.fewshot_cfg, "split", split_of(task)))
            undo.enter_context(replaced(task, "fewshot_context", context))
            yield

    def _sampler(self, task: Any) -> ItemSampler:
        if task not in self._samplers:
            self._samplers[task] = ItemSampler(task, self._seed)
        return self._samplers[task]


def split_of(task: Any) -> str | None:
    """Return the split that lm-eval takes a configured task's examples from; None where the task lists them itself."""
    chosen = task.fewshot_cfg
    if chosen.split is not None or chosen.samples is not None:
        return None if chosen.split is None else str(chosen.split)
    config = task.config
    found = next(
        (s for s in (config.training_split, config.validation_split, config.test_split) if s is not None), None
    )
    return None if found is None else str(found)


def item_seed(seed: int, item: Row) -> int:
    """Return the seed of an item's examples, the same wherever the item stands."""
    text = (
        json.dumps(item, sort_keys=True, ensure_ascii=False, default=repr) if isinstance(item, Mapping) else repr(item)
    )
    return int.from_bytes(hashlib.sha256(f"{seed}/{text}".encode()).digest()[:8], "big")
