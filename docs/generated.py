"""Pages of the documentation that are made of the code: commands, the public names, the schema, a page per method.

mkdocs calls `on_config` and `on_files` (mkdocs.yml names this file under `hooks`); nothing that is written here lies in
the repository, so that it cannot grow old.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import nharness
from nharness.cli.main import COMMANDS, command_parser
from nharness.plugins import Plugins
from nharness.ranges import expected_at
from nharness.record.schema import record_schema

ROOT = Path(__file__).resolve().parents[1]
METHODS = {"detectors": "Detectors", "interventions": "Interventions"}
WIDTH = "100"
"""Columns of the terminal for which the help of the commands is laid out."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the methods' pages to the navigation, before the explanations."""
    plugins = built_in()
    pages = [
        {title: [{name: f"methods/{kind}/{name}.md"} for name in sorted(plugins.entries(kind))]}
        for kind, title in METHODS.items()
    ]
    config.nav = [*config.nav[:-1], {"Methods": pages}, config.nav[-1]]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add every generated page."""
    for place, text in pages().items():
        files.append(File.generated(config, place, content=text))
    return files


def pages() -> dict[str, str]:
    """Return every generated page by its place below docs/."""
    plugins = built_in()
    methods = {
        f"methods/{kind}/{name}.md": method(kind, name, plugins) for kind in METHODS for name in plugins.entries(kind)
    }
    return {
        "reference/commands.md": commands(),
        "reference/python.md": names(),
        "reference/record.md": record(),
        **methods,
    }


def built_in() -> Plugins:
    """Return the plug-ins that come with nharness, whatever else is installed."""
    return Plugins(extra=("nharness_detectors.plugin",), autoload=False)


def commands() -> str:
    """Return the help of every command as `nharness help COMMAND` prints it."""
    os.environ["COLUMNS"] = WIDTH
    parts = ["# Commands", "Each as `nharness help COMMAND` prints it."]
    for name in COMMANDS:
        parts += [f"## nharness {name}", f"```text\n{command_parser(name).format_help().strip()}\n```"]
    return "\n\n".join(parts) + "\n"


def names() -> str:
    """Return the public names with what their docstrings say."""
    parts = [
        "# Python",
        (
            "`nharness.__all__`: what stands here stays, everything else is private. "
            "How it is used: [in Python, notebooks and pytest](../python.md), [plug-ins](../plugins.md)."
        ),
    ]
    for name in nharness.__all__:
        value = getattr(nharness, name)
        parts += [f"## {name}", *_described(name, value)]
    return "\n\n".join(parts) + "\n"


def _described(name: str, value: Any) -> Iterator[str]:
    if callable(value) and not isinstance(value, type) and inspect.isfunction(value):
        yield f"```python\n{name}{inspect.signature(value)}\n```"
    text = inspect.getdoc(value) if isinstance(value, type) or inspect.isfunction(value) else None
    yield text or f"`{str(value).replace('nharness.', '')}`"
    if isinstance(value, type):
        for own, found in vars(value).items():
            documented = inspect.getdoc(found) if not own.startswith("_") and _is_own(found) else None
            if documented:
                yield f"- `{own}`: {documented.splitlines()[0]}"


def _is_own(found: Any) -> bool:
    return inspect.isfunction(found) or isinstance(found, property | classmethod)


def record() -> str:
    """Return the schema of records as tables, one a part."""
    schema = record_schema()
    parts = [
        "# The record's schema",
        (
            "`leaderboard/schema/record-2.json`, as tables. *asserted*: no file beside the record tells whether it is "
            "true ([what a record can prove](../results.md#what-a-record-can-prove))."
        ),
    ]
    for name, part in {"record": schema, **schema["$defs"]}.items():
        if "properties" in part:
            parts += [f"## {name}", str(part.get("description", "")), _table(part["properties"])]
    return "\n\n".join(filter(None, parts)) + "\n"


def _table(properties: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        f"| `{name}` | {_cell(_type(each))} | {_cell(str(each.get('description', '')))}"
        f"{' *asserted*' if each.get('x-asserted') else ''} |"
        for name, each in properties.items()
    ]
    return "\n".join(["| field | type | what it is |", "|---|---|---|", *rows])


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(each)}`" for each in schema["enum"])
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if schema.get("type") == "array":
        inner = schema.get("items") or next(iter(schema.get("prefixItems", [])), {})
        return f"list of {_type(inner)}" if inner else "list"
    return str(schema.get("type", "anything"))


def method(kind: str, name: str, plugins: Plugins) -> str:
    """Return the page of a detector or an intervention: its algorithm, its options, what it is given."""
    thing = plugins.resolve(kind, name)
    asked = f"--detector {name}" if kind == "detectors" else f"--detector lape --intervention {name}"
    parts = [
        f"# {name}",
        f"*{plugins.entries(kind)[name].entry.summary}*",
        f"```\nnharness run {asked}\n```",
        inspect.getdoc(thing) or "",
        "## How it works",
        _escaped(inspect.cleandoc(sys.modules[thing.__module__].__doc__ or "")),
        "## What it needs",
        needs(thing),
        "## Options",
        options(thing.Options),
        f"Source: [`{_source(thing)}`](https://github.com/nharness/nharness/blob/main/{_source(thing)})",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def needs(thing: type) -> str:
    """Return which statistics are recorded for it, with default options."""
    wanted: Sequence[Any] = thing().needs()
    return ", ".join(f"`{each.statistic}` at `{each.site}`" for each in wanted) or "Nothing is recorded for it."


def options(model: type[Any]) -> str:
    """Return the options as a table."""
    rows = [
        f"| `{field.alias or name}` | `{field.get_default(call_default_factory=True)}` | "
        f"{_cell(expected_at(model, field.alias or name))} | {_cell(field.description or '')} |"
        for name, field in model.model_fields.items()
    ]
    return "\n".join(["| option | default | accepts | meaning |", "|---|---|---|---|", *rows]) if rows else "None."


def _source(thing: type) -> str:
    return Path(inspect.getfile(thing)).resolve().relative_to(ROOT).as_posix()


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _escaped(text: str) -> str:
    """Return a docstring as Markdown: stars and brackets of formulas are themselves, but in code."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([*_<>\[\]|])", r"\\\1", part) for part in parts)
