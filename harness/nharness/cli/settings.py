"""From settings to a specification: defaults, then the configuration file, then the command line, each with its origin.

A configuration file is `nharness.toml` or the table `[tool.nharness]` of `pyproject.toml`, in the current folder or the
nearest one above that has one; its keys are the options' names without dashes in front. Faults in it are reported with
their line, and a path in it that begins with a dot is one from its folder.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nharness.cli.options import ALL, BY_NAME, OWN_OPTIONS, TABLE_OF_TEXT, Option, pairs, refused
from nharness.cli.spelling import lm_evals_model
from nharness.errors import OptionError, UnknownNameError, UsageError, nearest
from nharness.languages import parse_languages
from nharness.ranges import first_fault, unknown_key
from nharness.run.plan.toml_places import place_in
from nharness.spec import FIRST_ITEMS, FIRST_TASKS, CorpusSpec, RunSpec


def configured(folder: Path) -> tuple[dict[str, Any], str]:
    """Return the settings of the configuration file of the folder or the nearest above, and the file as seen from it.

    Nothing when there is none. Raises `UsageError` naming file and key for text that is no TOML and for keys that are
    no option.
    """
    for above in (folder, *folder.parents):
        found, name = _configured_in(above, os.path.relpath(above, folder))
        if found:
            return {key: _from_folder(value, os.path.relpath(above, folder)) for key, value in found.items()}, name
    return {}, ""


def _configured_in(folder: Path, seen: str) -> tuple[dict[str, Any], str]:
    for file, table in (("nharness.toml", ()), ("pyproject.toml", ("tool", "nharness"))):
        path, name = folder / file, file if seen == "." else f"{seen}/{file}"
        if not path.is_file():
            continue
        document, text = read_toml(path)
        for key in table:
            document = document.get(key, {}) if isinstance(document, dict) else {}
        if not isinstance(document, dict):
            raise UsageError(f"{name}: {'.'.join(table)} is {document!r}; expected a table of settings")
        if document:
            places = {key: place_in(name, text, (*table, key)) for key in document}
            return {key: setting(key, value, places[key]) for key, value in document.items()}, name
    return {}, ""


def _from_folder(value: Any, folder: str) -> Any:
    """Return a setting with every path in it that begins with a dot as seen from the working directory."""
    if isinstance(value, list):
        return [_from_folder(each, folder) for each in value]
    if isinstance(value, dict):
        return {key: _from_folder(each, folder) for key, each in value.items()}
    if isinstance(value, str) and folder != "." and value.removeprefix("file:").startswith(("./", "../")):
        kind = "file:" if value.startswith("file:") else ""
        return f"{kind}{Path(folder) / value.removeprefix('file:')}"
    return value


def build_spec(settings: Mapping[str, Any]) -> RunSpec:
    """Return the specification that settings (by option name) come to; raises `UsageError` in one sentence."""
    model = lm_evals_model(settings.get("model", ""), settings.get("model-args", {}))
    if model:
        raise UsageError(model)
    document: dict[str, Any] = {}
    for name, value in {**_first_look(settings), **settings}.items():
        _put(document, BY_NAME[name].place, value)
    for key, own in zip(("detectors", "interventions"), OWN_OPTIONS, strict=True):
        options = document.pop(own, {})
        if options:
            document.setdefault(key, [entry.model_dump() for entry in getattr(RunSpec(), key)])
            document[key] = [_with_options(entry, options) for entry in document[key]]
            _refuse_strays(options, [entry["name"] for entry in document[key]])
    if document.get("languages"):
        document["languages"] = list(parse_languages(document["languages"]))
    return checked(document)


def shown(settings: Mapping[str, Any], origins: Mapping[str, str]) -> list[dict[str, str]]:
    """Return a row for every option: its name, the value that a run has, and where that comes from.

    origins: by option name; what is absent is a default.
    """
    document = build_spec(settings).model_dump(mode="json")
    rows = []
    for option in ALL:
        value: Any = settings.get(option.name, {}) if option.place in OWN_OPTIONS else document
        for part in option.place.split(".") if option.place not in OWN_OPTIONS else ():
            value = value[part]
        if option.place == TABLE_OF_TEXT:
            single = {place.rpartition(".")[2] for place in (each.place for each in ALL) if "corpus." in place}
            value = {name: value[name] for name in CorpusSpec.model_fields if name not in single}
        origin = origins.get(option.name, "default")
        rows.append({"setting": option.name, "value": json.dumps(value, ensure_ascii=False), "from": origin})
    return rows


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
        unknown = unknown_key(RunSpec, error)
        if unknown:
            *above, key = map(str, unknown[0])
            raise UnknownNameError(f"setting in {'.'.join(above)}" if above else "setting", key, unknown[1]) from error
        where, got, expected = first_fault(RunSpec, error)
        named = ".".join(part for part in where if isinstance(part, str))
        option = next((o.flag for o in ALL if o.place == named), named)
        raise OptionError(f"{option} is {got!r}; expected {expected}") from error


def read_toml(path: Path) -> tuple[dict[str, Any], str]:
    """Return a TOML file's document and its text; raises `UsageError` with the line of what is no TOML."""
    try:
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text), text
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        raise UsageError(f"{path.name}{f':{line[1]}' if line else ''}: not TOML ({error})") from error
    except (UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{path.name}: cannot be read ({error})") from error
    except RecursionError as error:
        raise UsageError(f"{path.name}: nested too deeply to be read") from error


def setting(key: str, value: Any, place: str) -> Any:
    """Return a setting's value as the command line would give it; every error begins with its place in the file."""
    if key not in BY_NAME:
        raise UsageError(f"{place}: unknown setting {key!r}{nearest(key, BY_NAME)}")
    option = BY_NAME[key]
    try:
        found = _value(option, value)
        if option.place not in OWN_OPTIONS:
            single: dict[str, Any] = {}
            _put(single, option.place, parse_languages(found) if key == "languages" else found)
            checked(single)
    except (UsageError, ValueError) as error:
        told = error if isinstance(error, UsageError) else refused(option, value)
        raise OptionError(f"{place}: {told}") from error
    return found


def _value(option: Option, value: Any) -> Any:
    """Return a TOML value as the option reads it: text as on the command line, lists entry by entry."""
    if isinstance(value, str):
        return option.read(value)
    if isinstance(value, list):
        read = [option.read(part) if isinstance(part, str) else [part] for part in value]
        return [entry for part in read for entry in (part if isinstance(part, list) else [part])]
    if option.read is pairs and not isinstance(value, dict):
        raise OptionError(f"{option.flag} is {value!r}; expected a table, or a text such as 'key=value,key=value'")
    if option.name == "languages":
        raise OptionError(f"{option.flag} is {value!r}; expected a list of language tags")
    return value


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
