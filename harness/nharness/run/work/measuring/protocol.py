"""What measuring a kind of task is: on a model as it stands, under an edit or intact, cell by cell.

1. What only the intact model tells is found out before there is an edit (`described`). Cells of an edition that need
   the same from the model share one product (`shared`), made under the edit (`make`).
2. A cell's items come from that product (`measured`), for a kind with `on_intact` after the edit is undone.
3. Where memory runs out the batch is halved (`halve`) and the product begun again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from nharness.cells import Cell
from nharness.evaluation.items import Item
from nharness.evaluation.perplexity import PerplexityEngine
from nharness.models import LoadedModel
from nharness.run.work.texts import LanguageText
from nharness.spec import RunSpec
from nharness.task import TaskSpec


@dataclass(frozen=True)
class Bench:
    """What there is to measure with: one loaded model and the run's text.

    languages: the run's, in order. text: a language's evaluation text, and the sample of it that control draws are
    judged on. beginnings: whole documents to go on writing from, one of each source.
    """

    loaded: LoadedModel
    engine: PerplexityEngine
    spec: RunSpec
    languages: tuple[str, ...]
    text: Callable[[str], LanguageText]
    sample: Callable[[str], LanguageText]
    beginnings: Callable[[str], LanguageText]


@dataclass(frozen=True)
class Product:
    """What the model gave for one or more cells, and the forward tokens that it cost."""

    value: Any
    tokens: int


@dataclass(frozen=True)
class Measured:
    """A cell's items; fields as of `nharness.cells.CellOutcome`. tokens: beside those of the product.

    note: what a user should know of these items, beside `Measuring.note`.
    """

    items: Sequence[Item]
    tokens: int = 0
    noise_floor: float | None = None
    available: int | None = None
    spared: int = 0
    note: str = ""


class Measuring(ABC):
    """Base of the working half of a kind of task; made once for a model, used inside and outside its edits.

    on_intact: items are made from the product by the intact model. note: what a user should know of how it is measured,
    "" for nothing.
    """

    on_intact: ClassVar[bool] = False
    note: str = ""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    @abstractmethod
    def key(self, cell: Cell, task: TaskSpec) -> dict[str, Any]:
        """Return everything that can change the cell's items beside the task, the model and the edit; JSON values."""

    def shared(self, cell: Cell, task: TaskSpec) -> Hashable:
        """Return what is equal for cells of one edition that share a product; here, no cell shares one."""
        del task
        return cell

    @abstractmethod
    def make(self, cell: Cell, task: TaskSpec, before: Sequence[Item] | None) -> Product:
        """Return what the model as it stands gives; `before` are the baseline's items where the cell may stop early.

        Raises `CellError` when the model's numbers are not finite, `torch.OutOfMemoryError` when memory runs out.
        """

    def measured(self, cell: Cell, task: TaskSpec, product: Product) -> Measured:
        """Return the cell's items from its product, which here is them."""
        del cell, task
        found: Measured = product.value
        return found

    def described(self, task: TaskSpec) -> Mapping[str, Any]:
        """Return what a record says of the task that only the intact model tells; fields of `TaskRunner.described`."""
        del task
        return {}

    def halve(self) -> bool:
        """Halve the batch; False when it cannot be any smaller."""
        return False
