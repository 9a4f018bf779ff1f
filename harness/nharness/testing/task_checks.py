"""What every family of tasks must keep; nothing is run."""

from __future__ import annotations

from nharness.errors import NharnessError
from nharness.languages import parse_language
from nharness.task import TaskFamily, TaskSpec
from nharness.testing.checks import Check, check_pickles, require

NOBODYS = "tlh"  # Klingon


def _tags(family: TaskFamily) -> tuple[str, ...]:
    return family.languages() or ("en", "de")


def _languages(family: TaskFamily) -> None:
    tags = family.languages()
    for tag in tags:
        require(parse_language(tag) == tag, f"language {tag!r} should be written {parse_language(tag)!r}")
    require(len(set(tags)) == len(tags), "languages() names a language twice")


def _tasks(family: TaskFamily) -> None:
    for tag in _tags(family):
        specs = family.tasks_for(tag)
        require(specs and all(isinstance(spec, TaskSpec) for spec in specs), f"has no TaskSpec for its language {tag}")


def _own(family: TaskFamily) -> None:
    for tag in _tags(family):
        for spec in family.tasks_for(tag):
            require(spec.language == tag, f"{spec.name} for {tag} reports language {spec.language}")
            require(spec.family == family.name, f"{spec.name} reports family {spec.family}, not {family.name}")


def _unknown(family: TaskFamily) -> None:
    if not family.languages():
        return
    try:
        found = family.tasks_for(NOBODYS)
    except NharnessError:
        return
    require(not found, f"has a task for {NOBODYS}, which languages() does not name")


def _names(family: TaskFamily) -> None:
    for tag in _tags(family):
        names = [spec.name for spec in family.tasks_for(tag)]
        require(len(set(names)) == len(names), f"two tasks of {tag} share a name, and would share cells")


def _deterministic(family: TaskFamily) -> None:
    for tag in _tags(family):
        require(family.tasks_for(tag) == family.tasks_for(tag), "asked twice, it returned different tasks")


CHECKS = (
    Check("canonical languages", _languages),
    Check("a task for every language", _tasks),
    Check("tasks of its own", _own),
    Check("no task for others", _unknown),
    Check("distinct names", _names),
    Check("deterministic", _deterministic),
    Check("pickles", check_pickles),
)
