"""What a run refuses before it starts, for `--collect-only`: places, executor, device, model folder, chat template.

Tensor libraries are loaded only for what is not the default.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from nharness.atomic import require_place
from nharness.errors import UnknownNameError, UsageError
from nharness.plugins import Plugins
from nharness.spec import RunSpec

TEMPLATES = ("chat_template.jinja", "chat_template.json")


def require_places(arguments: argparse.Namespace) -> None:
    """Raise `OutputError` where a run could not write: folder, store, log of events."""
    for option, path, folder in (
        ("--out", arguments.out, True),
        ("--store", arguments.store, True),
        ("--log-json", arguments.log_json, False),
    ):
        if path is not None:
            require_place(option, path, folder=folder)


def require_executor(plugins: Plugins, arguments: argparse.Namespace) -> None:
    """Raise `UnknownNameError` for an executor that is not registered, `OptionError` for what it does not take."""
    name = getattr(arguments, "executor", "local")
    known = ("local", *plugins.entries("executors"))
    if name not in known and ":" not in name:
        raise UnknownNameError("executor", name, known)
    if name != "local" or getattr(arguments, "workers", 1) > 1 or getattr(arguments, "executor_args", {}):
        from nharness.run.line import executor_named

        executor_named(name, plugins).check(arguments.workers, arguments.executor_args)


def require_model(spec: RunSpec, plugins: Plugins) -> None:
    """Raise `ModelError` for a folder that holds no model, `OptionError` for an absent device or unknown argument."""
    model, named = spec.model, plugins.entries("models")
    if model.device not in {"auto", "cpu"}:
        from nharness.models.load import device_meant

        device_meant(model.device)
    if model.name in named and not model.args and not spec.task_options.chat_template:
        return
    from nharness.models.source import find_source, read_config

    found = find_source(model.name, model.args, {name: plugins.resolve("models", name) for name in named})
    if model.args and found.folder is not None and "gguf_file" not in found.args:
        from nharness.models.arguments import require_effect, require_one_dtype

        require_effect(found, read_config(found), placed=model.device_map is not None)
        require_one_dtype(found.args, model.dtype)
    if spec.task_options.chat_template and found.folder is not None and not _has_template(found.folder):
        raise UsageError(f"--apply-chat-template: the tokenizer of {model.name!r} has no chat template")


def _has_template(folder: Path) -> bool:
    if any((folder / name).is_file() for name in TEMPLATES) or any(folder.glob("*.gguf")):
        return True
    settings = folder / "tokenizer_config.json"
    return settings.is_file() and bool(json.loads(settings.read_text(encoding="utf-8")).get("chat_template"))
