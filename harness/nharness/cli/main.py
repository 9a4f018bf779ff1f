"""`nharness COMMAND ...`: find the command, run it, turn errors into one sentence and an exit code.

Exit codes: 0 all cells ran (and all claims held), 1 some cell failed or a claim did not hold, 2 interrupted,
3 internal error, 4 usage error, 5 nothing collected.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import re
import shlex
import shutil
import sys
import textwrap
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NoReturn

from nharness.cli import examples
from nharness.cli.output import only_the_result, say, tell
from nharness.cli.spelling import nearest_choice, stray, understood
from nharness.errors import InterruptedRun, NharnessError, PluginError, UnknownNameError, UsageError, nearest

COMMANDS = {
    "run": ("nharness.cli.run", "the main job: detect, deactivate, evaluate, compare, record"),
    "record": ("nharness.cli.record", "statistics only"),
    "merge": ("nharness.cli.merge", "statistics files of different text into one"),
    "detect": ("nharness.cli.detect", "neurons from a statistics file"),
    "evaluate": ("nharness.cli.evaluate", "a neurons file on a model"),
    "export": ("nharness.cli.export", "an edited checkpoint that transformers loads"),
    "analyze": ("nharness.cli.analyze", "a detection's layers, kinds and overlap between languages"),
    "compare": ("nharness.cli.compare", "two neurons files, or two records on the same items"),
    "report": ("nharness.cli.report", "tables and charts of a run"),
    "claims": ("nharness.cli.claims", "claims held against records that exist"),
    "validate": ("nharness.cli.validate", "records against the schema"),
    "migrate": ("nharness.cli.migrate", "records of older formats brought up to the newest"),
    "leaderboard": ("nharness.cli.leaderboard", "build the site, add records, check a submission"),
    "inspect": ("nharness.cli.inspect", "where a model's neurons are"),
    "check": ("nharness.cli.check", "whether a plug-in keeps its contract"),
    "import": ("nharness.cli.import_", "foreign masks and activation counts"),
    "plan": ("nharness.cli.plan", "the cells of a run, or of one part of it"),
    "collect": ("nharness.cli.collect", "the parts of a run joined, what is missing named, records written"),
    "prefetch": ("nharness.cli.prefetch", "a model, tasks' data and a corpus in one folder, to use without a network"),
    "cache": ("nharness.cli.cache", "what stores hold, and removing what is old"),
    "new": ("nharness.cli.new", "a project of your own: a detector, intervention, statistic, task, claim or study"),
    "doctor": ("nharness.cli.doctor", "what a run stands on, what would break it, and what to do"),
    "completion": ("nharness.cli.completion", "a script that makes your shell complete commands, options and names"),
    "list": ("nharness.cli.list_", "what is registered: detectors, interventions, tasks, corpora, models, plugins"),
}
CODES = (
    "Exit codes: 0 passed, 1 a cell failed or a claim did not hold, 2 interrupted, 3 internal error, 4 usage error, "
    "5 nothing collected."
)


class Formatter(argparse.HelpFormatter):
    """Help in paragraphs, each as wide as the terminal; an indented one stays as it is."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(
            part if re.search("^ ", part, re.MULTILINE) else textwrap.fill(part, width, initial_indent=indent)
            for part in text.strip().split("\n\n")
        )


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints leave with exit code 4."""

    def error(self, message: str) -> NoReturn:
        """Print one sentence and where to look, and exit."""
        self.exit(4, f"{self.prog}: {nearest_choice(message)}; see {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    with _streams():
        return _main(arguments)


def _main(arguments: Sequence[str]) -> int:
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # bars of the libraries below are for people only
    try:
        code = answer(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (NharnessError, OSError, RecursionError, MemoryError) as error:
        tell(f"nharness: {_told(error)}")
        return error.exit_code if isinstance(error, NharnessError) else UsageError.exit_code
    except KeyboardInterrupt:
        tell("nharness: interrupted")
        return InterruptedRun.exit_code
    except Exception as error:  # noqa: BLE001 - the last boundary: an internal error has an exit code of its own
        if os.environ.get("NHARNESS_TRACEBACK"):
            traceback.print_exc()
        where = traceback.extract_tb(error.__traceback__)[-1]
        tell(
            f"nharness: internal error: {type(error).__name__}: {error} "
            f"(at {Path(where.filename).name}:{where.lineno}; set NHARNESS_TRACEBACK=1 to see the whole way)"
        )
        return NharnessError.exit_code
    return code


def answer(arguments: Sequence[str]) -> int:
    """Do what the words ask for and return the exit code; raises the errors that `main` tells."""
    if arguments[:1] == ["help"] and len(arguments) > 1:
        arguments = [arguments[1], "--help"]
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        say(_overview())
        return 0 if arguments else UsageError.exit_code
    if arguments[0] in {"-V", "--version"}:
        from importlib.metadata import version

        say(f"nharness {version('nharness')}")
        return 0
    strange = next((text for text in arguments if not text.isprintable() and _is_no_text(text)), None)
    if strange is not None:
        raise UsageError(f"{strange!a} is not UTF-8; names and folders must be")
    _have_folder()
    return _dispatch(arguments[0], arguments[1:])


@contextmanager
def _streams() -> Iterator[None]:
    """Make sure that there is something to print on, and that every text can be printed."""
    with ExitStack() as opened:
        for stream, redirected in ((sys.stdout, redirect_stdout), (sys.stderr, redirect_stderr)):
            if stream is None:  # closed by the calling process
                nowhere = opened.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
                opened.enter_context(redirected(nowhere))
            elif isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        yield


def _have_folder() -> None:
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise UsageError("the working directory no longer exists; change to another one") from error


def _is_no_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _told(error: BaseException) -> str:
    """Return what went wrong in a sentence: an nharness error as it is, one of the machine with its file."""
    if isinstance(error, RecursionError):
        return "an input is nested too deeply to be read"
    if isinstance(error, MemoryError):
        return "there is not enough memory for this"
    if isinstance(error, OSError):
        file = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        return f"{file}{error.strerror or error}"
    return str(error)


def command_parser(name: str) -> argparse.ArgumentParser:
    """Return the parser of a command, its help complete; raises `UnknownNameError` for a command that is none."""
    if name.startswith("-"):
        raise UsageError(f"unknown option {name}{nearest(name, ('--help', '--version'))}")
    if name not in COMMANDS:
        raise UnknownNameError("command", name, COMMANDS)
    module_name, summary = COMMANDS[name]
    command = importlib.import_module(module_name)
    parser = Parser(
        prog=f"nharness {name}",
        description=command.__doc__ or summary,
        formatter_class=Formatter,
        epilog="\n\n".join([examples.shown(name), *([] if "Exit codes:" in (command.__doc__ or "") else [CODES])]),
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    parser.usage = _usage(parser)
    return parser


def _dispatch(name: str, rest: Sequence[str]) -> int:
    parser = command_parser(name)
    known = {flag for action in parser._actions for flag in action.option_strings}  # noqa: SLF001 - nothing public lists them
    words = understood(rest, known, [action.dest for action in parser._actions if not action.option_strings])  # noqa: SLF001 - as above
    arguments, left = parser.parse_known_intermixed_args(words)  # options may stand between the files
    if left:
        raise UsageError(f"{name}: {stray(words, left, parser)}")
    arguments = argparse.Namespace(**vars(arguments), command_line=shlex.join(["nharness", name, *rest]))
    try:
        with only_the_result() if getattr(arguments, "json", False) else nullcontext():
            return int(importlib.import_module(COMMANDS[name][0]).execute(arguments))
    except SystemExit as error:  # nharness never leaves like this, but rich does once nobody reads
        if isinstance(error.__context__, BrokenPipeError):
            raise error.__context__ from None
        raise PluginError(
            f"a plug-in called exit({error.code!r}); a plug-in may raise an error but not end the run"
        ) from error


def _usage(parser: argparse.ArgumentParser) -> str:
    """Return the command with what it must be given; all else is listed below it."""
    needed = [action for action in parser._actions if action.required or not action.option_strings]  # noqa: SLF001 - nothing public lists them
    named = [f"{action.option_strings[-1]} {action.metavar}" for action in needed if action.option_strings]
    shown = argparse.ArgumentParser(prog="", add_help=False)
    for action in needed:
        if not action.option_strings:
            shown._add_action(action)  # noqa: SLF001 - the same arguments, without the options
    places = shown.format_usage().removeprefix("usage:").split()
    width = shutil.get_terminal_size().columns - len("usage: ")
    line = " ".join([parser.prog, "[OPTIONS]", *places, *named])
    return textwrap.fill(line, width, subsequent_indent=" " * len("usage: nharness "), break_on_hyphens=False)


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [
        "usage: nharness COMMAND [OPTIONS]",
        "",
        "Tests claims about language neurons: with those a method finds switched off, what becomes of each language?",
        "",
        *(f"  {name:<{width}}  {summary}" for name, (_, summary) in COMMANDS.items()),
        "",
        "nharness help COMMAND explains one command. The first thing to try:  nharness run --detector lape",
        textwrap.fill(CODES, min(120, shutil.get_terminal_size((120, 24)).columns)),
    ]
    return "\n".join(lines)
