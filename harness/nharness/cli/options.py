"""The options that make a run specification, read off `RunSpec`: what is written there is written nowhere else.

Every option knows the place in `RunSpec` that it sets, so that a value from `nharness.toml` and the same value from the
command line cannot mean different things.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from nharness.errors import OptionError, UsageError
from nharness.ranges import bounds_at, expected_at, schema_at
from nharness.spec import CorpusSpec, Flag, RunSpec


@dataclass(frozen=True)
class Option:
    """One option: flag, dotted place in the specification, how its text is read, and what it says of itself.

    default: what holds without it, in words. meaning: what it is, without range and default. switch: it takes no value.
    """

    flag: str
    place: str
    read: Callable[[str], Any]
    meaning: str
    metavar: str = ""
    group: str = ""
    default: str = ""
    switch: bool = False

    @property
    def name(self) -> str:
        """The name in a configuration file and in messages: the flag without dashes in front."""
        return self.flag.lstrip("-")

    @property
    def dest(self) -> str:
        """The attribute of the parsed command line; apart from those that commands add for themselves."""
        return f"set_{self.name.replace('-', '_')}"

    @property
    def accepts(self) -> str:
        """What it takes, in words."""
        return expected_at(RunSpec, self.place) or "a table"

    @property
    def summary(self) -> str:
        """The line of `--help`: meaning, range, default."""
        ends = [bounds_at(RunSpec, self.place), f"default {self.default}" if self.default else ""]
        told = "; ".join(filter(None, ends))
        return f"{self.meaning} ({told})" if told else self.meaning


def whole(least: int = 0) -> Callable[[str], int]:
    """Return what reads a whole number at least `least` from the command line."""

    def read(text: str) -> int:
        try:
            found = int(text)
        except ValueError:
            found = least - 1
        if found < least:
            raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number at least {least}")
        return found

    return read


def words(text: str) -> list[str]:
    """Read `a,b,c`."""
    return [part.strip() for part in text.split(",") if part.strip()]


def numbers(text: str) -> list[float]:
    """Read `0.5,1,2`."""
    return [float(part) for part in words(text)]


def names(text: str) -> list[dict[str, Any]]:
    """Read registered names `a,b` (a `module:attribute` is one name)."""
    return [{"name": part} for part in words(text)]


def pairs(text: str) -> dict[str, Any]:
    """Read `key=value,key=value`, values as lm-eval reads them: true, false, none, numbers, else text.

    Raises `UsageError` for a part without `=`.
    """
    found: dict[str, Any] = {}
    for part in words(text):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"{part!r} in {text!r}; expected key=value,key=value")
        found[key.strip()] = scalar(value.strip())
    return found


def scalar(text: str) -> Any:
    """Read one value: true/false, none, whole number, number, else the text itself."""
    lowered = text.lower()
    if lowered in {"true", "false"}:
        return lowered == "true"
    if lowered == "none":
        return None
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def scalar_or_text(text: str, *, kinds: frozenset[str]) -> Any:
    """Read `none`, a number or a text, whichever the field takes; raises `ValueError` for what is no number."""
    if "null" in kinds and text.lower() == "none":
        return None
    if "integer" in kinds and ("string" not in kinds or text.lstrip("-").isdigit()):
        return int(text)
    if "number" in kinds:
        return float(text)
    return text


def entry(text: str, *, key: str) -> list[dict[str, str]]:
    """Read one table of a list, such as a claim, from the text of its first field."""
    return [{key: text}]


def _options(model: type[BaseModel], above: str = "", group: str = "") -> Iterator[Option]:
    """Yield the options of a specification's fields, those of its tables where they stand."""
    for name, field in model.model_fields.items():
        flag = next((each for each in field.metadata if isinstance(each, Flag)), None)
        if flag is None:
            continue
        place, kind = f"{above}{name}", field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _options(kind, f"{place}.", flag.group or group)
        else:
            yield _option(place, field, flag, flag.group or group)


def _option(place: str, field: FieldInfo, flag: Flag, group: str) -> Option:
    schema = schema_at(RunSpec, place)
    kinds = frozenset(each.get("type", "string") for each in schema.get("anyOf", [schema]))
    read, metavar = _reader(place, kinds, whole_text=flag.whole)
    return Option(
        flag=f"--{(flag.name or place.rpartition('.')[2]).replace('_', '-')}",
        place=place,
        read=read,
        meaning=field.description or "",
        metavar=flag.metavar or metavar,
        group=group,
        default=flag.default or _told_default(field),
        switch="boolean" in kinds,
    )


def _reader(place: str, kinds: frozenset[str], *, whole_text: bool) -> tuple[Callable[[str], Any], str]:
    """Return what reads the text of a field with these JSON types, and what stands for the text in the help."""
    if "object" in kinds:
        return pairs, "K=V,..."
    if "array" in kinds:
        items = schema_at(RunSpec, f"{place}.0")
        if whole_text:
            return partial(entry, key=items["required"][0]), "TEXT"
        if items.get("type") == "object":
            return names, "A,B"
        return (numbers if items.get("type") == "number" else words), "A,B"
    metavar = "N" if "integer" in kinds else "X" if "number" in kinds else "TEXT"
    return partial(scalar_or_text, kinds=kinds), metavar


def _told_default(field: FieldInfo) -> str:
    """Return a default in words; empty where a field without a value says all."""
    value = field.get_default(call_default_factory=True)
    if value is None or value is False or value in ((), {}):
        return ""
    if isinstance(value, tuple):
        return ",".join(str(getattr(each, "name", each)) for each in value)
    return value if isinstance(value, str) else json.dumps(value)


def _columns(model: type[BaseModel]) -> str:
    """Return the fields of a table that have no option of their own."""
    return ", ".join(n for n, f in model.model_fields.items() if not any(isinstance(m, Flag) for m in f.metadata))


OWN_OPTIONS, TABLE_OF_TEXT = ("detector_options", "intervention_options"), "corpus"
_BESIDE = (
    Option(
        "--option",
        OWN_OPTIONS[0],
        pairs,
        "detector options, for every detector that has them or as DETECTOR.key",
        "K=V,...",
        "what to run",
    ),
    Option(
        "--intervention-option",
        OWN_OPTIONS[1],
        pairs,
        "intervention options, for every intervention that has them or as INTERVENTION.key",
        "K=V,...",
        "what to run",
    ),
    Option("--corpus-args", TABLE_OF_TEXT, pairs, f"the rest of the corpus: {_columns(CorpusSpec)}", "K=V,...", "text"),
)
"""What sets more than one field."""

ALL: tuple[Option, ...] = (*_options(RunSpec), *_BESIDE)
BY_NAME: Mapping[str, Option] = {option.name: option for option in ALL}
GROUPS: Mapping[str, tuple[Option, ...]] = {
    title: tuple(option for option in ALL if option.group == title)
    for title in ("what to run", "model", "text", "tasks", "rigour", "edits")
}


def add_options(
    parser: argparse.ArgumentParser, groups: Sequence[str] = tuple(GROUPS), *, without: Sequence[str] = ()
) -> None:
    """Add the named groups of options, but for some flags; what is not given is absent from the parsed command line."""
    for title in groups:
        _add_group(parser, title, [option for option in GROUPS[title] if option.flag not in without])


def add_some(parser: argparse.ArgumentParser, title: str, flags: Sequence[str]) -> None:
    """Add the options of these flags under a heading of their own."""
    _add_group(parser, title, [option for option in ALL if option.flag in flags])


def _add_group(parser: argparse.ArgumentParser, title: str, options: Sequence[Option]) -> None:
    group = parser.add_argument_group(title)
    for option in options:
        how: dict[str, Any] = {"action": "append", "metavar": option.metavar}
        if option.switch:
            how = {"action": argparse.BooleanOptionalAction}
        told = option.summary.replace("%", "%%")
        group.add_argument(option.flag, dest=option.dest, default=argparse.SUPPRESS, help=told, **how)


def given(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what the command line set, by option name, read into values; raises `UsageError` naming the option."""
    found: dict[str, Any] = {}
    for option in ALL:
        if hasattr(arguments, option.dest):
            raw = getattr(arguments, option.dest)
            found[option.name] = raw if option.switch else _read_all(option, raw)
    return found


def changed(arguments: argparse.Namespace, **values: Any) -> argparse.Namespace:
    """Return a parsed command line with other values in it."""
    return argparse.Namespace(**{**vars(arguments), **values})


def _read_all(option: Option, texts: Sequence[str]) -> Any:
    values = [_read(option, text) for text in texts]
    if isinstance(values[0], list):
        return [entry for value in values for entry in value]
    if isinstance(values[0], dict):
        return {key: entry for value in values for key, entry in value.items()}
    return values[-1]


def _read(option: Option, text: str) -> Any:
    try:
        return option.read(text)
    except ValueError as error:
        raise refused(option, text) from error


def refused(option: Option, got: Any) -> OptionError:
    """Return the error for a value that the option's place in the specification cannot hold."""
    return OptionError(f"{option.flag} is {got!r}; expected {expected_at(RunSpec, option.place) or option.meaning}")


USUAL_VARIANT = "small"


def add_study(parser: argparse.ArgumentParser) -> None:
    """Add the study and its variant."""
    parser.add_argument(
        "--study",
        type=Path,
        metavar="FILE",
        help="TOML file that specifies the whole run, or the name of a study (nharness list studies)",
    )
    parser.add_argument(
        "--variant",
        metavar="NAME",
        help=f"variant of a named study: full or {USUAL_VARIANT} (default)",
    )
