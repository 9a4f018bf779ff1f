"""What a detector is, by its own plug-in: summary, papers, algorithm, options, source."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import metadata
from typing import Any

from nharness.errors import NharnessError
from nharness.plugins import Plugins, Registered
from nharness.ranges import expected_at

_ARXIV = re.compile(r"arXiv[: ](\d{4}\.\d{4,5})")


@dataclass(frozen=True)
class Option:
    """One option: its name, default, what it accepts, what it means."""

    name: str
    default: str
    accepts: str
    meaning: str


@dataclass(frozen=True)
class About:
    """One detector: summary in a line, papers as (text, address), algorithm in words, options, place of its source."""

    summary: str
    papers: tuple[tuple[str, str], ...]
    algorithm: str
    options: tuple[Option, ...]
    source: str


def about_detectors() -> Mapping[str, About]:
    """Return what is known of every installed detector, by name; for one that cannot be imported, its summary alone."""
    plugins = Plugins()
    return {name: _about(plugins, name, found) for name, found in plugins.entries("detectors").items()}


def repository() -> str:
    """Return the repository's address by the distribution's metadata, or nothing."""
    urls = dict(str(each).split(", ", 1) for each in metadata("nharness").get_all("Project-URL") or ())
    return str(urls.get("Source", ""))


def _about(plugins: Plugins, name: str, found: Registered) -> About:
    try:
        made = plugins.resolve("detectors", name)
    except NharnessError:
        return About(found.entry.summary, (), "", (), "")
    module = sys.modules.get(made.__module__)
    text = inspect.getdoc(module) or inspect.getdoc(made) or ""
    numbers = dict.fromkeys(_ARXIV.findall(text))
    papers = tuple((f"arXiv {number}", f"https://arxiv.org/abs/{number}") for number in numbers)
    return About(found.entry.summary, papers, text, tuple(_options(made)), f"{made.__module__}:{made.__qualname__}")


def _options(made: Any) -> list[Option]:
    return [
        Option(
            name=field.alias or name,
            default=str(field.get_default(call_default_factory=True)),
            accepts=expected_at(made.Options, field.alias or name),
            meaning=field.description or "",
        )
        for name, field in made.Options.model_fields.items()
    ]
