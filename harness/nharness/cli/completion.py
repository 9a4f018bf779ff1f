"""Print what makes a shell complete commands, options and names: `nharness completion bash|zsh|fish`.

The script holds the options of this version and the names that are registered now; print it again after installing a
plug-in. bash: `source <(nharness completion bash)`; zsh: the same with zsh.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nharness.cli.list_ import WHAT
from nharness.cli.options import BY_NAME
from nharness.cli.output import say
from nharness.cli.plugin_options import add_plugin_options, load_plugins
from nharness.plugins import Plugins
from nharness.ranges import bounds_at
from nharness.spec import RunSpec

SHELLS = ("bash", "zsh", "fish")
NAMED = {
    "--detector": "detectors",
    "--intervention": "interventions",
    "--model": "models",
    "--corpus": "corpora",
    "--tasks": "tasks",
    "--executor": "executors",
}


@dataclass(frozen=True)
class Completed:
    """An option or argument: its flags (none: its place), what it says of itself, and the words it may be."""

    flags: tuple[str, ...]
    meaning: str
    words: tuple[str, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the shell."""
    parser.add_argument("shell", choices=SHELLS, help="shell to print a script for")
    add_plugin_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Print the script and return 0."""
    from nharness.cli.main import COMMANDS

    plugins = load_plugins(arguments)
    table = {name: _completed(module, plugins) for name, (module, _) in COMMANDS.items()}
    summaries = {name: summary for name, (_, summary) in COMMANDS.items()}
    make = _fish if arguments.shell == "fish" else _bash
    start = "autoload -Uz bashcompinit && bashcompinit\n" if arguments.shell == "zsh" else ""
    say(start + make(table, summaries), end="")
    return 0


def _completed(module: str, plugins: Plugins) -> list[Completed]:
    parser = argparse.ArgumentParser()
    importlib.import_module(module).add_arguments(parser)
    return [
        Completed(tuple(action.option_strings), action.help or "", _words(action, plugins))
        for action in parser._actions  # noqa: SLF001 - nothing public lists them
    ]


def _words(action: argparse.Action, plugins: Plugins) -> tuple[str, ...]:
    if action.dest == "what":
        return WHAT
    if action.choices is not None:
        return tuple(map(str, action.choices))
    flag = next((each for each in action.option_strings if each in NAMED), None)
    if flag is not None:
        return tuple(sorted({*plugins.entries(NAMED[flag]), *(["local"] if flag == "--executor" else [])}))
    option = next((BY_NAME[each[2:]] for each in action.option_strings if each[2:] in BY_NAME), None)
    bounds = "" if option is None else bounds_at(RunSpec, option.place)
    return tuple(bounds.split(", ")) if ", " in bounds else ()


def _bash(table: Mapping[str, Sequence[Completed]], _: Mapping[str, str]) -> str:
    cases = []
    for name, options in table.items():
        flags = " ".join(flag for option in options for flag in option.flags)
        places = " ".join(word for option in options if not option.flags for word in option.words)
        values = [
            f"        {'|'.join(option.flags)}) words={_quoted(' '.join(option.words))};;"
            for option in options
            if option.flags and option.words
        ]
        cases += [
            f"    {name})",
            f"      words={_quoted(places)}",
            f'      [[ "$this" == -* ]] && words={_quoted(flags)}',
            *([*(['      case "$before" in']), *values, "      esac"] if values else []),
            "      ;;",
        ]
    return "\n".join(
        [
            "_nharness() {",
            '  local this="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" words',
            '  case "$([[ $COMP_CWORD -gt 1 ]] && echo "${COMP_WORDS[1]}")" in',
            f'    "") words={_quoted(" ".join([*table, "help"]))};;',
            f"    help) words={_quoted(' '.join(table))};;",
            *cases,
            "  esac",
            '  COMPREPLY=($(compgen -W "$words" -- "$this"))',
            '  [[ ${#COMPREPLY[@]} -eq 0 ]] && COMPREPLY=($(compgen -f -- "$this"))',
            "  return 0",
            "}",
            "complete -o filenames -F _nharness nharness",
            "",
        ]
    )


def _fish(table: Mapping[str, Sequence[Completed]], summaries: Mapping[str, str]) -> str:
    lines = [
        f"complete -c nharness -n __fish_use_subcommand -f -a {name} -d {_quoted(summary)}"
        for name, summary in summaries.items()
    ]
    for name, options in table.items():
        inside = f"complete -c nharness -n '__fish_seen_subcommand_from {name}'"
        for option in options:
            words = f" -x -a {_quoted(' '.join(option.words))}" if option.words else ""
            flags = "".join(f" {'-l' if flag.startswith('--') else '-s'} {flag.lstrip('-')}" for flag in option.flags)
            if flags or words:
                lines.append(f"{inside}{flags}{words} -d {_quoted(option.meaning.replace('%%', '%'))}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
