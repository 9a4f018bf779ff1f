"""Run and detect in Python with the command line's names: `nharness.run(detector="lape", languages=["en", "de"])`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from rich.console import Console

from nharness.cli.live import LiveDisplay
from nharness.cli.settings import build_spec, setting
from nharness.cli.study import run_name, study_file
from nharness.cli.where import DEFAULT_OUT, default_out
from nharness.detector import Evidence
from nharness.errors import UsageError
from nharness.events import Listener, ignore
from nharness.interactive.files import load_detection
from nharness.interactive.results import Results
from nharness.interactive.shown import NotebookDisplay
from nharness.neurons import Detection
from nharness.plugins import Plugins
from nharness.record.sources import Study
from nharness.run.line import RunResult
from nharness.run.line import run as run_line
from nharness.run.plan.request import RunRequest
from nharness.run.plan.resolve import load_detector
from nharness.run.plan.study import load_study
from nharness.run.results.folder import file_stem
from nharness.spec import Named, RunSpec
from nharness.statistics import Statistics
from nharness.statistics import load as read_statistics

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from nharness.interactive.settings import Settings

Files = str | Path | Statistics | Sequence[str | Path | Statistics]


def run(
    study: str | Path | RunSpec | None = None,
    /,
    *,
    out: str | Path | None = None,
    store: str | Path | None = None,
    expression: str = "",
    plugins: Plugins | Sequence[str] = (),
    progress: bool | None = None,
    **settings: Unpack[Settings],
) -> Results:
    """Run what `nharness run` runs, and return its records; what was done before is taken from the run folder.

    study: a study's file or registered name (its findings over all runs are the command's alone), or a whole
    specification. Without one, `settings` are the command line's options with `_` for `-` (`detect_tokens=2000`),
    values as Python has them: a list of names, a class instead of a detector's name, `option={"top_rate": 0.02}`. No
    configuration file is read. out: the run folder, by default the command's own.
    store, expression, plugins: as `--store`, `-k` and `-p`. progress: None shows it in a notebook and on a terminal.
    Raises what the command would have said, in one sentence; a failed cell raises nothing (`Results.failed`).
    """
    if study is not None and settings:
        raise UsageError(f"{study!s:.60} specifies the whole run; leave out {next(iter(settings))}")
    found = plugins if isinstance(plugins, Plugins) else Plugins(extra=tuple(plugins))
    requests = [replace(each, expression=expression) for each in _requests(study, dict(settings), out, found)]
    if store is not None:
        requests = [replace(each, store=Path(store)) for each in requests]
    with _shown(progress=progress) as listen:
        return _together([run_line(request, found, listen=listen) for request in requests])


def detect(
    statistics: Files,
    detector: str | type = "lape",
    *,
    reference: str | Path | Detection | None = None,
    budget: float | None = None,
    plugins: Plugins | Sequence[str] = (),
    **options: Any,
) -> Detection:
    """Return the neurons that a detector finds in statistics: files or values, one a site; `options` are its own.

    reference: the detection that `random` is matched to. budget: cut to this share of all neurons per language.
    Raises `UsageError` where the detector needs what was not recorded.
    """
    found = plugins if isinstance(plugins, Plugins) else Plugins(extra=tuple(plugins))
    made = load_detector(Named(name=_named(detector), options=options), found)
    given = [statistics] if isinstance(statistics, str | Path | Statistics) else statistics
    tables = {
        f"statistics {place + 1}" if isinstance(each, Statistics) else str(each): (
            each if isinstance(each, Statistics) else read_statistics(Path(each))
        )
        for place, each in enumerate(given)
    }
    matched = load_detection(reference) if isinstance(reference, str | Path) else reference
    detection = made(Evidence.together(tables, reference=matched))
    return detection if budget is None else detection.cut(budget)


def _requests(
    study: str | Path | RunSpec | None, settings: Mapping[str, Any], out: str | Path | None, plugins: Plugins
) -> Iterator[RunRequest]:
    """Yield the run, or every run of a study."""
    command = "nharness.run(...)"
    if study is None or isinstance(study, RunSpec):
        read = {name.replace("_", "-"): _plain(value) for name, value in settings.items()}
        spec = study or build_spec({name: setting(name, value, "nharness.run") for name, value in read.items()})
        yield RunRequest(spec, Path(out or default_out(spec)), command=command)
        return
    read_study = load_study(study_file(Path(study), None, plugins))
    base = Path(out or DEFAULT_OUT / file_stem(read_study.name))
    described = Study(name=read_study.name, text=read_study.text, digest=read_study.digest)
    command = f"nharness run --study {shlex.quote(str(study))}"
    for place, spec in enumerate(read_study.runs):
        folder = base / run_name(place, spec)
        yield RunRequest(spec, folder, store=base / "store", study=described, command=command)


def _together(results: Sequence[RunResult]) -> Results:
    return Results(
        {path: record for result in results for path, record in result.records.items()},
        tuple(claim for result in results for claim in result.claims),
        {cell.id: result.outcomes[cell].reason for result in results for cell in result.failed},
        max(result.exit_code for result in results),
    )


def _plain(value: Any) -> Any:
    """Return a value as a configuration file would have it."""
    if isinstance(value, type):
        return _named(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, Sequence) and not isinstance(value, str) else value


def _named(thing: str | type) -> str:
    """Return the name by which a plug-in's class is found."""
    return thing if isinstance(thing, str) else f"{thing.__module__}:{thing.__qualname__}"


@contextmanager
def _shown(*, progress: bool | None) -> Iterator[Listener]:
    """Give what shows the run: bars and the filling matrix in a notebook or on a terminal, else nothing."""
    in_notebook = Console().is_jupyter
    console = Console(stderr=True)
    if not (in_notebook or console.is_terminal if progress is None else progress):
        yield ignore
        return
    shown = NotebookDisplay() if in_notebook else LiveDisplay(console)
    try:
        yield shown
    finally:
        shown.close()
