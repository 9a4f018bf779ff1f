"""The options that name a model, for commands that need nothing else of a run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nharness.cli.options import MODEL, pairs

if TYPE_CHECKING:
    from nharness.models import LoadedModel
    from nharness.plugins import Plugins

NEEDED = ("--model", "--model-args", "--device", "--dtype", "--device-map", "--trust-remote-code")


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add `--model` and what says how to load it."""
    group = parser.add_argument_group("model")
    for option in MODEL:
        if option.flag not in NEEDED:
            continue
        if option.switch:
            group.add_argument(option.flag, action="store_true", help=option.summary)
        else:
            default = {"--model": "babel", "--device": "auto", "--dtype": "auto"}.get(option.flag)
            group.add_argument(option.flag, metavar=option.metavar, default=default, help=option.summary)


def load_from(arguments: argparse.Namespace, plugins: Plugins) -> LoadedModel:
    """Load the model that the options name."""
    from nharness.models import load_model

    return load_model(
        arguments.model,
        pairs(arguments.model_args or ""),
        device=arguments.device,
        dtype=arguments.dtype,
        device_map=arguments.device_map,
        trust_remote_code=arguments.trust_remote_code,
        named={name: plugins.resolve("models", name) for name in plugins.entries("models")},
    )
