"""What a neurons file says: neurons per language and layer, kinds, overlap between languages; before and after."""

from __future__ import annotations

import argparse
from pathlib import Path

from nharness.cli.found import neurons_file
from nharness.cli.output import print_table, say, say_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the file, another one to hold beside it, and how kinds are counted."""
    parser.add_argument("neurons", type=Path, help="neurons file, or the folder of a record or a run with one record")
    parser.add_argument("--after", type=Path, metavar="FILE", help="neurons after training: what moved where")
    parser.add_argument("--over", choices=("selected", "all"), default="selected", help="which neurons kinds count")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def execute(arguments: argparse.Namespace) -> int:
    """Print the tables and return 0."""
    from nharness import neurons
    from nharness.report.detection import kind_moves, kinds_by_layer, languages_by_layer, overlap_rows

    detection = neurons.load(neurons_file(arguments.neurons))
    tables = {
        "neurons per layer": languages_by_layer(detection),
        f"kinds per layer ({arguments.over} neurons)": kinds_by_layer(detection, arguments.over),
        "share of neurons two languages have in common (Jaccard)": overlap_rows(detection),
    }
    if arguments.after is not None:
        tables["neurons by kind before (rows) and after (columns)"] = kind_moves(
            detection, neurons.load(neurons_file(arguments.after)), arguments.over
        )
    if arguments.json:
        say_json(tables)
        return 0
    for title, rows in tables.items():
        say(f"\n{title}")
        print_table(rows)
    return 0
