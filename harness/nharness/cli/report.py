"""Show the records of runs: matrices and summaries here, tables, HTML, images, a paper's parts, a dataset."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from nharness.cli.found import all_records
from nharness.cli.output import say
from nharness.cli.records_exported import STYLES, TABLES, Found, export
from nharness.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the runs and the forms."""
    parser.add_argument("run", type=Path, nargs="+", help="run folder, record folder, or record file")
    parser.add_argument("--html", type=Path, metavar="FILE", help="one self-contained HTML file per record")
    parser.add_argument("--png", type=Path, metavar="DIR", help="charts as PNG images")
    parser.add_argument("--svg", type=Path, metavar="DIR", help="charts as SVG images")
    parser.add_argument("--paper", type=Path, metavar="DIR", help="LaTeX tables, figures, method text and BibTeX")
    parser.add_argument("--parquet", type=Path, metavar="DIR", help="every table as a Parquet file")
    parser.add_argument(
        "--dataset", type=Path, metavar="DIR", help="tables, records and a card, as datasets.load_dataset reads them"
    )
    parser.add_argument(
        "--push", metavar="ORG/NAME", help="with --dataset: upload it to the hub, where you are logged in"
    )
    parser.add_argument("--format", choices=STYLES, metavar="FORMAT", help=f"print instead: {', '.join(STYLES)}")
    parser.add_argument("--table", choices=tuple(TABLES), default="summary", help="which table (default summary)")


def execute(arguments: argparse.Namespace) -> int:
    """Print or write every record of the runs; raises `UsageError` for --push without --dataset."""
    from nharness.record.validate import load_record

    if arguments.push and not arguments.dataset:
        raise UsageError("--push uploads what --dataset DIR writes; give both")
    found = {path: load_record(path, files=True) for path in all_records(arguments.run)}
    if arguments.format:
        say(export(found, arguments.format, arguments.table), end="")
    elif arguments.parquet or arguments.dataset:
        _tables(arguments, found)
    elif arguments.paper:
        from nharness.cli.paper import write_paper

        _written(write_paper(list(found.values()), arguments.paper))
    elif arguments.html or arguments.png or arguments.svg:
        _pictures(arguments, found)
    else:
        _shown(found)
    return 0


def _tables(arguments: argparse.Namespace, found: Found) -> None:
    from nharness.cli import dataset

    if arguments.push:
        dataset.check_repository(arguments.push)
    if arguments.parquet:
        _written(dataset.write_parquet(found, arguments.parquet))
    if arguments.dataset:
        _written(dataset.write_dataset(found, arguments.dataset))
    if arguments.push:
        say(f"uploaded: {dataset.push(arguments.dataset, arguments.push)}")


def _pictures(arguments: argparse.Namespace, found: Found) -> None:
    from nharness.report.paper import names_of
    from nharness_leaderboard.report import Kind, write_html, write_images

    kinds: tuple[Kind, ...] = ("png", "svg")
    for name, record in zip(names_of(list(found.values())), found.values(), strict=True):
        if arguments.html:
            file = arguments.html if len(found) == 1 else arguments.html.with_name(f"{name}-{arguments.html.name}")
            _written([write_html(record, file)])
        for folder, kind in zip((arguments.png, arguments.svg), kinds, strict=True):
            if folder is not None:
                _written(write_images(record, folder / name if len(found) > 1 else folder, kind))


def _shown(found: Found) -> None:
    from nharness.cli.records_shown import show_judged, show_ranking, show_record

    for number, (path, record) in enumerate(found.items()):
        show_record(record, path)
        say(f"record {number + 1} of {len(found)}: {path}")
    show_judged(list(found.values()))
    show_ranking(found)


def _written(paths: Iterable[Path]) -> None:
    say("\n".join(f"written: {path}" for path in paths))
