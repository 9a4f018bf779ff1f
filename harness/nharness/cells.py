"""Cells: the smallest thing that is run, stored and resumed.

A cell id reads like pytest's: `lape[zh]/zero::ppl[fr]` switches the `zh` neurons of `lape` off and measures `fr`;
`lape[zh]~3/zero::ppl[fr]` is control draw 3 of the same target; `baseline::ppl[fr]` edits nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nharness.evaluation.items import Item
from nharness.task import Role


@dataclass(frozen=True, slots=True)
class Edition:
    """What is done to the model: which neurons, and how they are changed.

    target: a language, a share of its neurons (`fr:0.25`), a rung of its ladder (`fr#64`), or `GENERAL`.
    control: None for the detection's own neurons, else the random draw's number.
    budget, strength: None where none was asked for.
    """

    detector: str
    target: str
    intervention: str
    control: int | None = None
    strength: float | None = None
    budget: float | None = None

    @property
    def id(self) -> str:
        """The part of a cell id before `::`."""
        budget = "" if self.budget is None else f"@{self.budget:g}"
        control = "" if self.control is None else f"~{self.control}"
        strength = "" if self.strength is None else f"@{self.strength:g}"
        return f"{self.detector}{budget}[{self.target}]{control}/{self.intervention}{strength}"


@dataclass(frozen=True, slots=True)
class Cell:
    """One evaluation: an edition of the model (None is the unedited one), a task, a language."""

    edition: Edition | None
    task: str
    language: str

    @property
    def role(self) -> Role:
        """Whether it measures the intact model, a target, or a random draw for one."""
        if self.edition is None:
            return "intact"
        return "target" if self.edition.control is None else "control"

    @property
    def id(self) -> str:
        """The cell's name on screen, in `-k` expressions and in files."""
        return f"{self.edition.id if self.edition else 'baseline'}::{self.task}[{self.language}]"


@dataclass(frozen=True)
class CellOutcome:
    """What a cell gave: items, or why it has none: it failed, or was skipped because there is no neuron to edit.

    edited_activations: activations (tokens x neurons, padding left out) that the edit reached, 0 for the baseline only.
    tokens: forward tokens the cell cost. reused: taken from the store. noise_floor: of a baseline, by how much another
    batch size changes the metric, in its unit. available: items there are where a cell may stop before the last, and
    spared the tokens of those it left out. note: what a user should know of how it was computed, "" for nothing.
    """

    status: Literal["passed", "failed", "skipped"]
    items: Sequence[Item] = ()
    edited_activations: int = 0
    tokens: int = 0
    seconds: float = 0.0
    reused: bool = False
    reason: str = ""
    backend: str = ""
    noise_floor: float | None = None
    available: int | None = None
    spared: int = 0
    note: str = ""

    def document(self) -> dict[str, Any]:
        """Return the outcome as the store keeps it; items by column, since there are many."""
        names = sorted({name for item in self.items for name in item.values})
        return {
            "ids": [item.id for item in self.items],
            "clusters": [item.cluster for item in self.items],
            "values": {name: [item.values.get(name) for item in self.items] for name in names},
            "texts": [item.text for item in self.items] if any(item.text is not None for item in self.items) else None,
            "edited_activations": self.edited_activations,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "backend": self.backend,
            "noise_floor": self.noise_floor,
            "available": self.available,
            "spared": self.spared,
            "note": self.note,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any], *, reused: bool) -> CellOutcome:
        """Return the passed outcome that `document` describes."""
        columns = document["values"]
        rows = range(len(document["ids"]))
        texts = document["texts"] or [None] * len(rows)
        items = tuple(
            Item(
                document["ids"][row],
                document["clusters"][row],
                {name: column[row] for name, column in columns.items() if column[row] is not None},
                texts[row],
            )
            for row in rows
        )
        return cls(
            "passed",
            items,
            document["edited_activations"],
            document["tokens"],
            document["seconds"],
            reused=reused,
            backend=document["backend"],
            noise_floor=document["noise_floor"],
            available=document["available"],
            spared=document["spared"],
            note=document["note"],
        )
