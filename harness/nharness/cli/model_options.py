"""The options that name a model, for commands that need nothing else of a run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nharness.cli.options import add_options, given
from nharness.cli.settings import build_spec
from nharness.spec import ModelSpec

if TYPE_CHECKING:
    from nharness.models import LoadedModel
    from nharness.plugins import Plugins

OF_A_RUN = ("--batch-tokens", "--max-length", "--record-dtype")
"""Options of the model that only matter where text is read, or read twice."""


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add `--model` and what says how to load it."""
    add_options(parser, ("model",), without=OF_A_RUN)


def model_of(arguments: argparse.Namespace) -> ModelSpec:
    """Return the model that the options name; raises `OptionError` for a value that cannot be."""
    return build_spec(given(arguments)).model


def load_from(arguments: argparse.Namespace, plugins: Plugins) -> LoadedModel:
    """Load the model that the options name."""
    from nharness.models import load_model

    model = model_of(arguments)
    return load_model(
        model.name,
        model.args,
        device=model.device,
        dtype=model.dtype,
        device_map=model.device_map,
        trust_remote_code=model.trust_remote_code,
        named={name: plugins.resolve("models", name) for name in plugins.entries("models")},
    )
