"""From what a user asks for to tasks: `xcopa`, `xcopa[zh,sw]`, `all[zh]`, `lm-eval:NAME[zh]`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nharness.errors import UnknownNameError, UsageError
from nharness.languages import match, parse_language, parse_languages
from nharness.task.families import TaskFamily
from nharness.task.spec import TaskSpec

BY_NAME = "lm-eval:"


def expand_tasks(
    requested: Sequence[str] | str, languages: Sequence[str], families: Mapping[str, TaskFamily]
) -> tuple[tuple[TaskSpec, ...], tuple[str, ...]]:
    """Return the tasks asked for, each once, in the order asked, and a warning for every family that lacks a language.

    A request is `family`, `family[zh]`, `family[zh,sw]`, `all`, `all[zh]` (every family that has the language),
    lm-eval's own name of a task in some family's table, or `lm-eval:NAME[zh]` for any other task of lm-eval's or of an
    include path. Without brackets it is expanded over `languages`; with none of those, over all of the family's.
    A language whose region only one side names is met: of `zh-CN` a family has the task that it has of `zh`.
    Raises `UnknownNameError` with the nearest name for an unknown family or language and for a language in brackets
    that the family lacks, `UsageError` for unbalanced brackets and for a task whose language cannot be told.
    """
    tags = parse_languages(languages) if languages else ()
    specs: dict[str, TaskSpec] = {}
    warnings: list[str] = []
    for text in _split(requested):
        name, inside = _brackets(text)
        chosen = [match(tag, tags) or tag for tag in parse_languages(inside)] if inside else tags
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
    lacking = [tag for tag in wanted if not _tasks(family, tag)]
    if lacking and explicit:
        raise UnknownNameError(f"language of task family {name}", lacking[0], family.languages())
    warnings = [f"task family {name} has no task for {', '.join(lacking)}"] if lacking else []
    return [spec for tag in wanted for spec in _tasks(family, tag)], warnings


def _tasks(family: TaskFamily, tag: str) -> tuple[TaskSpec, ...]:
    """Return a family's tasks of a language, under the run's own tag."""
    met = None if family.has(tag) else match(tag, family.languages())
    return family.tasks_for(tag) if met is None else tuple(replace(s, language=tag) for s in family.tasks_for(met))


def _expand_all(tags: Sequence[str], families: Mapping[str, TaskFamily]) -> tuple[list[TaskSpec], list[str]]:
    specs: list[TaskSpec] = []
    lacking: dict[str, list[str]] = {tag: [] for tag in tags}
    for name, family in families.items():
        specs += [spec for tag in tags or family.languages() for spec in _tasks(family, tag)]
        for tag in tags:
            if not _tasks(family, tag):
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
        name=name,
        family="lm-eval",
        language=language,
        kind="lm-eval",
        metric="",
        unit="the task's own",
        lm_eval_task=name,
    )


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
