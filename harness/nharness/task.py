"""What a task is, as the runner plans with it: families, languages, and one specification per task and language.

Nothing here imports lm-eval or a tensor library. A family of lm-eval tasks is one value:

    CodedFamily("xcopa", "Causal commonsense, two choices", task="xcopa_{code}", codes={"zh": "zh", "sw": "sw"},
                metric="acc", chance=0.5)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from nharness.errors import OptionError, UnknownNameError, UsageError
from nharness.languages import parse_language, parse_languages

TaskKind = Literal["perplexity", "generation", "lm-eval"]
BY_NAME = "lm-eval:"


@dataclass(frozen=True)
class TaskSpec:
    """One task in one language: the evaluation half of a cell.

    kind: "perplexity" and "generation" read the corpus's evaluation documents, "lm-eval" brings its own text.
    metric: the item value that is compared: "bits_per_byte" for perplexity, "in_language" for generation, else
        lm-eval's own name ("acc"); empty means the first that the task reports.
    metric_filter: lm-eval's name of the answer filter, "none" where a task has no filter.
    unit: what a change of the metric is counted in, for people ("bits per byte", "share of items").
    chance: the metric of a model that guesses; None where guessing has no such level or it differs by item.
    lm_eval_task: lm-eval's name of the task, group or tag.
    include_path: the folder of its YAML, empty for lm-eval's own.
    num_fewshot: None leaves the task's own number. limit: at most so many items, None for all.
    columns: (field, column) pairs that read a local file without a header, as `nharness.evaluation.local_files` has it.
    version: changes whenever the items or the scoring do.
    """

    name: str
    family: str
    language: str
    kind: TaskKind
    metric: str
    unit: str
    chance: float | None = None
    higher_is_better: bool = True
    lm_eval_task: str = ""
    include_path: str = ""
    metric_filter: str = "none"
    num_fewshot: int | None = None
    limit: int | None = None
    columns: tuple[tuple[str, str], ...] = ()
    version: str = "1"

    @property
    def id(self) -> str:
        """The task as it stands in a cell's id, `xcopa[zh]`."""
        return f"{self.name}[{self.language}]"

    def with_options(self, *, num_fewshot: int | None = None, limit: int | None = None) -> TaskSpec:
        """Return the task with a user's few-shot number and limit; None keeps what it has.

        Raises `OptionError` for a negative number of shots and for a limit below one.
        """
        if num_fewshot is not None and num_fewshot < 0:
            raise OptionError(f"num_fewshot is a number of examples, 0 or more; got {num_fewshot}")
        if limit is not None and limit < 1:
            raise OptionError(f"limit is a number of items, 1 or more; got {limit}")
        return replace(
            self,
            num_fewshot=self.num_fewshot if num_fewshot is None else num_fewshot,
            limit=self.limit if limit is None else limit,
        )


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
                name=self.name, family=self.name, language=language, kind="perplexity", metric="bits_per_byte",
                unit="bits per byte", higher_is_better=False,
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class OutputLanguageFamily(TaskFamily):
    """Whether what the model writes after the opening of an evaluation document stays in the document's language."""

    name: str = "output_language"
    summary: str = "Share of generated continuations that stay in the language of their prompt"
    prompts: int = 32

    def languages(self) -> tuple[str, ...]:
        """Return nothing: the corpus decides."""
        return ()

    def tasks_for(self, language: str) -> tuple[TaskSpec, ...]:
        """Return the one task of the language; its limit is the number of prompts."""
        return (
            TaskSpec(
                name=self.name, family=self.name, language=language, kind="generation", metric="in_language",
                unit="share of outputs", limit=self.prompts,
            ),
        )  # fmt: skip


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
                name=self.name, family=self.name, language=language, kind="lm-eval", metric=self.metric, unit=self.unit,
                chance=self.chance, lm_eval_task=self.lm_eval_name(language), include_path=self.include_path,
                metric_filter=self.metric_filter, num_fewshot=self.num_fewshot, columns=tuple(self.columns.items()),
                version=self.version,
            ),
        )  # fmt: skip


def expand_tasks(
    requested: Sequence[str] | str, languages: Sequence[str], families: Mapping[str, TaskFamily]
) -> tuple[tuple[TaskSpec, ...], tuple[str, ...]]:
    """Return the tasks asked for, each once, in the order asked, and a warning for every family that lacks a language.

    A request is `family`, `family[zh]`, `family[zh,sw]`, `all`, `all[zh]` (every family that has the language),
    lm-eval's own name of a task in some family's table, or `lm-eval:NAME[zh]` for any other task of lm-eval's or of an
    include path. Without brackets it is expanded over `languages`; with none of those, over all of the family's.
    Raises `UnknownNameError` with the nearest name for an unknown family or language and for a language in brackets
    that the family lacks, `UsageError` for unbalanced brackets and for a task whose language cannot be told.
    """
    tags = parse_languages(languages) if languages else ()
    specs: dict[str, TaskSpec] = {}
    warnings: list[str] = []
    for text in _split(requested):
        name, inside = _brackets(text)
        chosen = parse_languages(inside) if inside else tags
        found, missing = _expand_one(name, chosen, families, explicit=bool(inside))
        specs.update((f"{spec.id} {spec.lm_eval_task}", spec) for spec in found)
        warnings += missing
    return tuple(specs.values()), tuple(dict.fromkeys(warnings))


def _expand_one(
    name: str, tags: Sequence[str], families: Mapping[str, TaskFamily], *, explicit: bool
) -> tuple[list[TaskSpec], list[str]]:
    if name.startswith(BY_NAME):
        return [_by_name(name.removeprefix(BY_NAME), tag) for tag in _one_language(name, tags)], []
    if name == "all":
        return _expand_all(tags, families)
    if name not in families:
        known = _table_entry(name, families)
        if known is None:
            raise UnknownNameError("task family", name, [*families, "all"])
        return [known], []
    family = families[name]
    wanted = tags or family.languages()
    if not wanted:
        raise UsageError(f"task family {name} takes its languages from the corpus; name some, as in '{name}[en,zh]'")
    lacking = [tag for tag in wanted if not family.has(tag)]
    if lacking and explicit:
        raise UnknownNameError(f"language of task family {name}", lacking[0], family.languages())
    warnings = [f"task family {name} has no task for {', '.join(lacking)}"] if lacking else []
    return [spec for tag in wanted for spec in family.tasks_for(tag)], warnings


def _expand_all(tags: Sequence[str], families: Mapping[str, TaskFamily]) -> tuple[list[TaskSpec], list[str]]:
    specs: list[TaskSpec] = []
    lacking: dict[str, list[str]] = {tag: [] for tag in tags}
    for name, family in families.items():
        specs += [spec for tag in tags or family.languages() for spec in family.tasks_for(tag)]
        for tag in tags:
            if not family.has(tag):
                lacking[tag].append(name)
    return specs, [f"no task for {tag} in: {', '.join(names)}" for tag, names in lacking.items() if names]


def _table_entry(name: str, families: Mapping[str, TaskFamily]) -> TaskSpec | None:
    for family in families.values():
        for tag in family.languages():
            for spec in family.tasks_for(tag):
                if spec.lm_eval_task == name:
                    return spec
    return None


def _by_name(name: str, language: str) -> TaskSpec:
    return TaskSpec(
        name=name, family="lm-eval", language=language, kind="lm-eval", metric="", unit="the task's own",
        lm_eval_task=name,
    )  # fmt: skip


def _one_language(name: str, tags: Sequence[str]) -> Sequence[str]:
    if len(tags) != 1:
        raise UsageError(f"task {name!r} is in one language; say which, as in '{name}[zh]'")
    return tags


def _split(requested: Sequence[str] | str) -> list[str]:
    parts: list[str] = []
    for text in [requested] if isinstance(requested, str) else requested:
        depth, start = 0, 0
        for position, letter in enumerate(text):
            depth += {"[": 1, "]": -1}.get(letter, 0)
            if letter == "," and depth == 0:
                parts.append(text[start:position])
                start = position + 1
        parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def _brackets(text: str) -> tuple[str, str]:
    if text.count("[") != text.count("]") or text.count("[") > 1 or ("[" in text and not text.endswith("]")):
        raise UsageError(f"task {text!r} has unbalanced brackets; expected 'family' or 'family[zh,sw]'")
    name, _, inside = text.removesuffix("]").partition("[")
    if "[" in text and not inside.strip():
        raise UsageError(f"task {text!r} names no language in its brackets; expected 'family[zh,sw]'")
    return name.strip(), ",".join(parse_language(part) for part in inside.split(",") if part.strip())
