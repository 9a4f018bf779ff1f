"""Merge statistics files of one model and site that were recorded on different text, each statistic by its own rule.

`nharness merge PART.safetensors PART.safetensors ... --out WHOLE.safetensors`
Counts and sums add up, rows of documents follow each other in the order of the files, languages are united. The files
of one recording at two sites are no parts: `nharness detect --statistics` takes both.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from nharness.cli.output import say, say_json, told_warnings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the parts and the whole."""
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="statistics files, two or more")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="statistics file to write")
    parser.add_argument("--json", action="store_true", help="file and totals as JSON")


def execute(arguments: argparse.Namespace) -> int:
    """Merge, write, and say how much text the whole is of."""
    from nharness.statistics.files import merge_files

    with told_warnings():
        whole = merge_files(arguments.files)
    whole.save(arguments.out)
    tokens = {tag: totals.tokens for tag, totals in whole.totals.items()}
    if arguments.json:
        say_json({"file": str(arguments.out), "tokens": tokens})
    else:
        say(f"written: {arguments.out} ({', '.join(f'{tag} {count} tokens' for tag, count in tokens.items())})")
    return 0
