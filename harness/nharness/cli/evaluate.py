"""Evaluate any neurons file on a model: deactivate, measure, compare with random controls, record.

The same as `nharness run` on the detector `file:NEURONS.safetensors`, without the options of detection.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from nharness.cli import options, run

OF_DETECTION = ("--detector", "--option", "--folds", "--null", "--record-dtype")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the neurons file to the options of `run`."""
    parser.add_argument("--neurons", type=Path, required=True, metavar="FILE", help="neurons file to evaluate")
    options.add_options(parser, without=OF_DETECTION)
    run.add_run_options(parser)
    parser.set_defaults(study=None)


def execute(arguments: argparse.Namespace) -> int:
    """Evaluate the file and return the exit code."""
    detector = {options.BY_NAME["detector"].dest: [f"file:{arguments.neurons}"]}
    return run.execute(options.changed(arguments, **detector), aside=OF_DETECTION)
