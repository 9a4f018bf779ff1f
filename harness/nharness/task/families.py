"""Families: one task in many languages.

A family of lm-eval tasks is one value:

    CodedFamily("xcopa", "Causal commonsense, two choices", task="xcopa_{code}", codes={"zh": "zh", "sw": "sw"},
                metric="acc", chance=0.5)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from nharness.errors import UnknownNameError
from nharness.information import BITS_PER_BYTE
from nharness.task.spec import TaskSpec


class TaskFamily(ABC):
    """One task in many languages. A plug-in registers instances."""

    name: str
    summary: str

    @abstractmethod
    def languages(self) -> tuple[str, ...]:
        """Return the canonical tags it has; empty means any language that the run's corpus has."""

    @abstractmethod
    def tasks_for(self, language: str) -> tuple[TaskSpec, ...]:
        """Return the tasks of one canonical tag, none when the family lacks it."""

    def has(self, language: str) -> bool:
        """Return whether there is a task for the language."""
        return bool(self.tasks_for(language))


@dataclass(frozen=True)
class PerplexityFamily(TaskFamily):
    """Perplexity and bits per byte of the corpus's evaluation documents, in whatever languages it has."""

    name: str = "ppl"
    summary: str = "Perplexity and bits per byte of the corpus's evaluation documents"

    def languages(self) -> tuple[str, ...]:
        """Return nothing: the corpus decides."""
        return ()

    def tasks_for(self, language: str) -> tuple[TaskSpec, ...]:
        """Return the one task of the language."""
        return (
            TaskSpec(
                name=self.name,
                family=self.name,
                language=language,
                kind="perplexity",
                metric=BITS_PER_BYTE,
                unit="bits per byte",
                higher_is_better=False,
            ),
        )


@dataclass(frozen=True)
class CodedFamily(TaskFamily):
    """A family of lm-eval tasks whose names hold a language code.

    task: the name with `{code}` where the code stands. codes: canonical tag -> code; a code that starts with "=" is the
    whole name itself. include_path: folder of the YAML. columns: field -> column of a local file without a header.
    """

    name: str
    summary: str
    task: str
    codes: Mapping[str, str]
    metric: str = "acc"
    unit: str = "share of items"
    chance: float | None = None
    metric_filter: str = "none"
    num_fewshot: int | None = None
    include_path: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    version: str = "1"

    def languages(self) -> tuple[str, ...]:
        """Return the tags of the code table, in its order."""
        return tuple(self.codes)

    def lm_eval_name(self, language: str) -> str:
        """Return lm-eval's name of the language's task; `UnknownNameError` when the table lacks it."""
        if language not in self.codes:
            raise UnknownNameError(f"language of task family {self.name}", language, self.codes)
        code = self.codes[language]
        return code[1:] if code.startswith("=") else self.task.format(code=code)

    def tasks_for(self, language: str) -> tuple[TaskSpec, ...]:
        """Return the language's task, or none."""
        if language not in self.codes:
            return ()
        return (
            TaskSpec(
                name=self.name,
                family=self.name,
                language=language,
                kind="lm-eval",
                metric=self.metric,
                unit=self.unit,
                chance=self.chance,
                lm_eval_task=self.lm_eval_name(language),
                include_path=self.include_path,
                metric_filter=self.metric_filter,
                num_fewshot=self.num_fewshot,
                columns=tuple(self.columns.items()),
                version=self.version,
            ),
        )
