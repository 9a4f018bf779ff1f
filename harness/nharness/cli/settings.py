"""From settings to a specification: defaults, then the configuration file, then the command line, each with its origin.

A configuration file is `nharness.toml` or the table `[tool.nharness]` of `pyproject.toml` in the current folder; its
keys are the options' names without dashes in front.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nharness.cli.options import ALL, Option
from nharness.errors import OptionError, UnknownNameError, UsageError
from nharness.languages import parse_languages
from nharness.spec import RunSpec

FIRST_TASKS, FIRST_ITEMS = ("ppl", "continuation"), 12
BY_NAME: Mapping[str, Option] = {option.name: option for option in ALL}


def configured(folder: Path) -> tuple[dict[str, Any], str]:
    """Return the settings of the folder's configuration file and the file's name; nothing when there is none.

    Raises `UsageError` naming file and key for text that is no TOML and for keys that are no option.
    """
    for name, table in (("nharness.toml", ()), ("pyproject.toml", ("tool", "nharness"))):
        path = folder / name
        if not path.is_file():
            continue
        document = _toml(path)
        for key in table:
            document = document.get(key, {})
        if document:
            return _read_settings(document, name), name
    return {}, ""


def build_spec(settings: Mapping[str, Any]) -> RunSpec:
    """Return the specification that settings (by option name) come to; raises `UsageError` in one sentence."""
    document: dict[str, Any] = {}
    for name, value in {**_first_look(settings), **settings}.items():
        _put(document, BY_NAME[name].place, value)
    per_detector = document.pop("detector_options", {})
    per_intervention = document.pop("intervention_options", {})
    for key, options in (("detectors", per_detector), ("interventions", per_intervention)):
        if options:
            document.setdefault(key, [{"name": "lape" if key == "detectors" else "zero"}])
            document[key] = [_with_options(entry, options) for entry in document[key]]
            _refuse_strays(options, [entry["name"] for entry in document[key]])
    if document.get("languages"):
        document["languages"] = list(parse_languages(document["languages"]))
    return checked(document)


def _first_look(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run on the sample text measures unless told otherwise: perplexity, and a few items of one task."""
    if "tasks" in settings or "corpus" in settings:
        return {}
    return {"tasks": list(FIRST_TASKS), "limit": FIRST_ITEMS}


def checked(document: Mapping[str, Any]) -> RunSpec:
    """Return the specification in a JSON-like document; raises `OptionError` for the first fault."""
    try:
        return RunSpec.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        option = next((o.flag for o in ALL if o.place == where), where)
        if first["type"] == "extra_forbidden":
            raise UsageError(f"{where!r} is no setting of a run") from error
        raise OptionError(f"{option} is {first['input']!r}: {first['msg'].lower()}") from error


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{path.name}: not readable as TOML ({error})") from error


def _read_settings(document: Mapping[str, Any], source: str) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for key, value in document.items():
        if key not in BY_NAME:
            raise UnknownNameError(f"setting in {source}", key, BY_NAME)
        option = BY_NAME[key]
        texts = isinstance(value, list) and all(isinstance(part, str) for part in value)
        text = ",".join(value) if texts else value
        settings[key] = option.read(text) if isinstance(text, str) else value
    return settings


def _put(document: dict[str, Any], place: str, value: Any) -> None:
    *folders, last = place.split(".")
    for folder in folders:
        document = document.setdefault(folder, {})
    if isinstance(value, dict) and isinstance(document.get(last), dict):
        document[last] |= value
    else:
        document[last] = value


def _refuse_strays(options: Mapping[str, Any], names: Sequence[str]) -> None:
    """Raise `UnknownNameError` for an option of a detector or intervention that is not run."""
    for key in options:
        owner, dot, _ = key.rpartition(".")
        if dot and owner not in names:
            raise UnknownNameError(f"owner of option {key!r}", owner, names)


def _with_options(entry: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry with the options meant for it: unqualified ones, and those that name it (`lape.top_rate`)."""
    mine = dict(entry.get("options", {}))
    for key, value in options.items():
        owner, dot, option = key.rpartition(".")
        if not dot or owner == entry["name"]:
            mine[option] = value
    return {**entry, "options": mine}
