"""`nharness report --paper DIR`: what a paper needs of records, in one folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

from nharness.atomic import write_bytes
from nharness.errors import NharnessError
from nharness.plugins import Plugins
from nharness.record.model import Record
from nharness.report.paper import Reference, cited_in, names_of, paper_files


def write_paper(records: Sequence[Record], folder: Path) -> list[Path]:
    """Write tables, method and references, and the figures of every record as SVG and PDF; return the paths.

    Raises `UsageError` where the chart library is not installed.
    """
    written = []
    for name, text in paper_files(records, _references(records)).items():
        written.append(folder / name)
        write_bytes(folder / name, text.encode())
    images = import_module("nharness_leaderboard.report")
    for name, record in zip(names_of(records), records, strict=True):
        place = folder / "figures" / name
        written += [file for kind in ("svg", "pdf") for file in images.write_images(record, place, kind)]
    return written


def _references(records: Sequence[Record]) -> dict[str, tuple[Reference, ...]]:
    """Return what the docstrings of the records' detectors and interventions cite, those that are installed here.

    A class's own docstring comes first; a module's speaks for the class where there is one in it.
    """
    plugins = Plugins()
    found: dict[str, tuple[Reference, ...]] = {}
    for kind, name in _used(records):
        try:
            thing = plugins.resolve(kind, name)
        except NharnessError:  # a record may come from anywhere; what is not here is not cited
            continue
        module = sys.modules[thing.__module__]
        here = [each for each in vars(module).values() if isinstance(each, type) and each.__module__ == module.__name__]
        alone = sum(hasattr(each, "needs") for each in here) == 1
        found[name] = cited_in(thing.__doc__ or "") or (cited_in(module.__doc__ or "") if alone else ())
    return found


def _used(records: Sequence[Record]) -> Iterator[tuple[str, str]]:
    for record in records:
        yield "detectors", record.detector.name
        yield "interventions", record.intervention.name
