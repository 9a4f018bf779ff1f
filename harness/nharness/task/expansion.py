"""From what a user asks for to tasks: `xcopa`, `xcopa[zh,sw]`, `all[zh]`, `lm-eval:NAME[zh]`, `lm-eval:NAME_{code}`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from nharness.errors import UnknownNameError, UsageError
from nharness.languages import match, parse_language, parse_languages, spellings
from nharness.spec import as_identifier
from nharness.task.families import TaskFamily
from nharness.task.spec import TaskSpec

BY_NAME = "lm-eval:"
CODE = "{code}"
"""Stands in the name of an lm-eval task for the language, spelled as the task spells it."""


def _nothing(_name: str) -> bool:
    return False


def expand_tasks(
    requested: Sequence[str] | str,
    languages: Sequence[str],
    families: Mapping[str, TaskFamily],
    *,
    included: Callable[[str], bool] = _nothing,
) -> tuple[tuple[TaskSpec, ...], tuple[str, ...]]:
    """Return the tasks asked for, each once, in the order asked, and a warning for every family that lacks a language.

    A request is `family`, `family[zh]`, `family[zh,sw]`, `all`, `all[zh]` (every family that has the language),
    lm-eval's own name of a task in some family's table, a name that is `included` from a folder of YAML, or
    `lm-eval:NAME[zh]` for any other task of lm-eval's. Of `lm-eval:mytask_{code}`, `lm-eval:mytask_{code}[zh,sw]` there
    is a task in every language: one family, named `mytask`.
    Without brackets a family is expanded over `languages`; with none of those, over all of the family's.
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
        if name not in families and included(name):
            found = [_by_name(name, tag) for tag in _language_in(name, chosen, explicit=bool(inside))]
        else:
            found, missing = _expand_one(name, chosen, families, explicit=bool(inside))
            warnings += missing
        specs.update((f"{spec.id} {spec.lm_eval_task}", spec) for spec in found)
    return tuple(specs.values()), tuple(dict.fromkeys(warnings))


def _expand_one(
    name: str, tags: Sequence[str], families: Mapping[str, TaskFamily], *, explicit: bool
) -> tuple[list[TaskSpec], list[str]]:
    if name.startswith(BY_NAME) and CODE in name:
        return [_by_pattern(name.removeprefix(BY_NAME), tag) for tag in _some_language(name, tags)], []
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
        name=as_identifier(name),
        family="lm-eval",
        language=language,
        kind="lm-eval",
        metric="",
        unit="the task's own",
        lm_eval_task=name,
    )


def _by_pattern(pattern: str, language: str) -> TaskSpec:
    name = re.sub(rf"[_.-]*{re.escape(CODE)}[_.-]*", "", pattern, count=1) or "lm-eval"
    return replace(_by_name(name, language), family=as_identifier(name), lm_eval_task=pattern)


def _some_language(name: str, tags: Sequence[str]) -> Sequence[str]:
    if not tags:
        raise UsageError(f"{name} is a family for any language; name some, as in '{name}[en,zh]'")
    return tags


def _language_in(name: str, tags: Sequence[str], *, explicit: bool) -> Sequence[str]:
    """Return the one language of an included task: in its brackets, or the one that its name ends in."""
    if explicit:
        return _one_language(name, tags)
    return _one_language(name, [tag for tag in tags if _ends_in(name, tag)])


def _ends_in(name: str, tag: str) -> bool:
    return any(re.search(rf"[_-]{re.escape(code)}$", name, re.IGNORECASE) for code in spellings(tag))


def _one_language(name: str, tags: Sequence[str]) -> Sequence[str]:
    if len(tags) != 1:
        raise UsageError(f"task {name!r} covers one language; name it, as in '{name}[zh]'")
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
