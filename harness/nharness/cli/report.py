"""Show the records of a run: matrices and summaries here, tables, one HTML file a record, images of the charts."""

from __future__ import annotations

import argparse
from pathlib import Path

from nharness.cli.found import record_files
from nharness.cli.output import say
from nharness.cli.records_exported import STYLES, TABLES, export


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run and the forms."""
    parser.add_argument("run", type=Path, help="run folder, record folder, or record file")
    parser.add_argument("--html", type=Path, metavar="FILE", help="one self-contained HTML file a record")
    parser.add_argument("--png", type=Path, metavar="DIR", help="charts as PNG images")
    parser.add_argument("--svg", type=Path, metavar="DIR", help="charts as SVG images")
    parser.add_argument("--paper", type=Path, metavar="DIR", help="LaTeX tables, figures, method text and BibTeX")
    parser.add_argument("--format", choices=STYLES, metavar="FORMAT", help=f"print instead: {', '.join(STYLES)}")
    parser.add_argument("--table", choices=tuple(TABLES), default="summary", help="which table (default summary)")


def execute(arguments: argparse.Namespace) -> int:
    """Print or write every record of the run."""
    from nharness.cli.records_shown import show_judged, show_ranking, show_record
    from nharness.record.validate import load_record

    found, shown = record_files(arguments.run), {}
    if arguments.format:
        records = {path: load_record(path, files=True) for path in found}
        say(export(records, arguments.format, arguments.table), end="")
        return 0
    if arguments.paper:
        from nharness.cli.paper import write_paper

        written = write_paper([load_record(path, files=True) for path in found], arguments.paper)
        say("\n".join(f"written: {path}" for path in written))
        return 0
    for number, path in enumerate(found):
        record = load_record(path, files=True)
        if arguments.html or arguments.png or arguments.svg:
            from nharness_leaderboard.report import Kind, write_html, write_images

            name = path.parent.name
            if arguments.html:
                file = arguments.html if len(found) == 1 else arguments.html.with_name(f"{name}-{arguments.html.name}")
                say(f"written: {write_html(record, file)}")
            kinds: tuple[Kind, ...] = ("png", "svg")
            for folder, kind in zip((arguments.png, arguments.svg), kinds, strict=True):
                if folder is not None:
                    images = write_images(record, folder / name if len(found) > 1 else folder, kind)
                    say("\n".join(f"written: {image}" for image in images))
        else:
            show_record(record, path)
            say(f"record {number + 1} of {len(found)}: {path}")
            shown[path] = record
    show_judged(list(shown.values()))
    show_ranking(shown)
    return 0
