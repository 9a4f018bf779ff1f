"""Evaluate anybody's neurons file on a model: deactivate, measure, compare with random controls, record.

The same as `nharness run --detector file:NEURONS.safetensors`, whose other options it takes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from nharness.cli import run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the neurons file to the options of `run`."""
    run.add_arguments(parser)
    parser.add_argument("--neurons", type=Path, required=True, metavar="FILE", help="neurons file to evaluate")


def execute(arguments: argparse.Namespace) -> int:
    """Evaluate the file and return the exit code."""
    arguments.detector = [f"file:{arguments.neurons}"]
    return run.execute(arguments)
