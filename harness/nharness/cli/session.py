"""One run on the command line: header, display, interruption, summary, exit code."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO

from nharness.atomic import make_folder
from nharness.cells import Cell
from nharness.cli.display import JsonDisplay, PlainDisplay, both
from nharness.cli.live import LiveDisplay
from nharness.cli.output import say, say_json, tell
from nharness.cli.records_shown import show_judged, show_ranking, show_record
from nharness.cli.terminal import console
from nharness.cli.where import default_out
from nharness.errors import InterruptedRun, OutputError
from nharness.events import Listener
from nharness.plugins import Plugins
from nharness.record.sources import Study
from nharness.run.line import RunResult, run
from nharness.run.plan.parts import read_part
from nharness.run.plan.request import RunRequest
from nharness.run.versions import installed
from nharness.spec import RunSpec

FAILURES_NAMED = 4  # cells that failed for one reason; of more, the first is named


def run_and_report(
    spec: RunSpec,
    plugins: Plugins,
    arguments: argparse.Namespace,
    *,
    out: Path | None = None,
    study: Study | None = None,
) -> int:
    """Run, show it, print matrices and summary, and return the exit code."""
    verbosity = arguments.verbose - arguments.quiet
    out = out or arguments.out or default_out(spec)
    request = RunRequest(
        spec=spec,
        out=out,
        store=arguments.store,
        command=arguments.command_line,
        study=study,
        expression=arguments.expression,
        last_failed=arguments.last_failed,
        maxfail=arguments.maxfail,
        executor=arguments.executor,
        workers=arguments.workers,
        executor_options=_executor_options(arguments),
        shard=read_part(arguments.shard) if arguments.shard else None,
    )
    if verbosity >= 0:
        _header(request, plugins)
    with ExitStack() as stack:
        stop = stack.enter_context(_interruptible())
        listen = stack.enter_context(_display(arguments, verbosity))
        try:
            result = run(request, plugins, listen=listen, stop=stop)
        except (InterruptedRun, KeyboardInterrupt) as error:
            again = shlex.join(_going_on(arguments, out))
            raise InterruptedRun(f"interrupted; what was done is kept; continue with: {again}") from error
    if arguments.json:
        say_json(_as_json(result, plugins))
    else:
        _print_result(result, plugins, arguments.durations)
    return result.exit_code or int(bool(plugins.failures))


def _going_on(arguments: argparse.Namespace, out: Path) -> list[str]:
    """Return the command that goes on with an interrupted run, or with the study that it is one run of."""
    if arguments.command_line.startswith("nharness collect "):
        return shlex.split(arguments.command_line)
    study = getattr(arguments, "study", None)
    where = ["--study", str(study)] if study else ["--resume"]
    if study and arguments.variant:
        where += ["--variant", arguments.variant]
    base = arguments.out if study else out
    return ["nharness", "run", *where, *(["--out", str(base)] if base else []), *_same_way(arguments)]


def _same_way(arguments: argparse.Namespace) -> list[str]:
    """Return the options that a resumed run needs beside its folder to go the same way."""
    executor_args = ",".join(f"{name}={value}" for name, value in arguments.executor_args.items())
    given = {
        "-k": arguments.expression,
        "--shard": arguments.shard,
        "--store": arguments.store,
        "--executor": None if arguments.executor == "local" else arguments.executor,
        "--executor-args": executor_args,
        "--ray-address": arguments.ray_address,
        "--workers": None if arguments.workers == 1 else arguments.workers,
        "--maxfail": arguments.maxfail,
    }
    switches = {"--lf": arguments.last_failed, "--strict-plugins": arguments.strict_plugins}
    return [
        *(part for name, value in given.items() if value for part in (name, str(value))),
        *(part for name in arguments.plugins for part in ("-p", name)),
        *(name for name, value in switches.items() if value),
    ]


def _executor_options(arguments: argparse.Namespace) -> dict[str, object]:
    found = dict(arguments.executor_args)
    return found if arguments.ray_address is None else {**found, "address": arguments.ray_address}


def _header(request: RunRequest, plugins: Plugins) -> None:
    import platform

    spec = request.spec
    versions = ", ".join(f"{name} {installed(name)}" for name in ("torch", "transformers", "lm_eval"))
    tell(f"nharness {installed('nharness')} -- Python {platform.python_version()}, {versions}")
    names = [f"{s.name}-{s.version}" if s.version else s.name for s in plugins.statuses if s.status == "active"]
    tell(f"plug-ins: {', '.join(names)}")
    model, where = spec.model, f", on {request.executor} x {request.workers}" if request.executor != "local" else ""
    recorded = f" (recorded in {model.record_dtype})" if model.record_dtype is not None else ""
    dtype = f"dtype {model.dtype}{recorded}"
    tell(f"model: {model.name}, device {model.device}, {dtype}{where}; corpus: {spec.corpus.name}; out: {request.out}")


@contextmanager
def _display(arguments: argparse.Namespace, verbosity: int) -> Iterator[Listener]:
    on = console(errors=True)
    live = sys.stderr.isatty() and not on.is_dumb_terminal and verbosity == 0
    shown = LiveDisplay(on) if live else PlainDisplay(verbosity=verbosity)
    with ExitStack() as stack:
        stack.callback(shown.close)
        if arguments.log_json is None:
            yield shown
        else:
            yield both(shown, JsonDisplay(stack.enter_context(_opened(arguments.log_json))))


def _opened(path: Path) -> IO[str]:
    make_folder(path.parent)
    try:
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C finish the running cell and the second stop at once; yield what tells whether one came.

    SIGTERM, by which schedulers announce that a machine is taken away, is heard as Ctrl-C is.
    """
    asked: list[int] = []

    def interrupt(number: int, _frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        tell("\nfinishing the cell that is running; Ctrl-C again stops at once")

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print_result(result: RunResult, plugins: Plugins, durations: int | None) -> None:
    for path, record in result.records.items():
        show_record(record, path)
    show_judged(list(result.records.values()))
    show_ranking(result.records)
    if result.failed:
        say("\nFailures")
        _print_failures(result)
    if durations is not None:
        say("\nSlowest cells")
        slowest = sorted(result.outcomes.items(), key=lambda pair: -pair[1].seconds)[: durations or None]
        say("\n".join(f"  {outcome.seconds:8.2f} s  {cell.id}" for cell, outcome in slowest))
    for claim in result.claims:
        say(claim.line)
    for text in plugins.hook.nharness_summary(records=list(result.records.values())):
        say(str(text))
    counts = {
        status: sum(o.status == status for o in result.outcomes.values()) for status in ("passed", "failed", "skipped")
    }
    reused = sum(outcome.reused for outcome in result.outcomes.values())
    say(f"\n{', '.join(f'{n} {s}' for s, n in counts.items() if n)} ({reused} reused) in {result.seconds:.1f} s")
    for path in result.records:
        say(f"record: {path}")


def _print_failures(result: RunResult) -> None:
    """Print why cells failed; what many cells of a detector have in common once, with the number of them."""
    alike: dict[tuple[str, str], list[Cell]] = {}
    for cell in result.failed:
        detector = cell.edition.detector if cell.edition else ""
        alike.setdefault((detector, result.outcomes[cell].reason), []).append(cell)
    for (_, reason), cells in alike.items():
        if len(cells) > FAILURES_NAMED:
            say(f"  {cells[0].id} and {len(cells) - 1} more: {reason}")
        else:
            say("\n".join(f"  {cell.id}: {reason}" for cell in cells))


def _as_json(result: RunResult, plugins: Plugins) -> dict[str, object]:
    return {
        "records": [
            {"path": str(path), "detector": record.detector.name, "summary": [s.document() for s in record.summary]}
            for path, record in result.records.items()
        ],
        "cells": {cell.id: outcome.status for cell, outcome in result.outcomes.items()},
        "plugin_failures": list(plugins.failures),
        "claims": [asdict(claim) for claim in result.claims],
        "exit_code": result.exit_code,
    }
