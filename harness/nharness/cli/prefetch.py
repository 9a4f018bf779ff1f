"""Bring a model, tasks' data and a corpus into one folder, for machines without a network.

For example: nharness prefetch --model M --tasks xcopa --languages zh,sw --corpus C --out DIR
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from nharness.atomic import check_writable
from nharness.cli import options, settings
from nharness.cli.output import say, warn
from nharness.cli.plugin_options import add_plugin_options, load_plugins
from nharness.errors import UsageError
from nharness.languages import choose_languages

WANTED = ("model", "tasks", "corpus")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to fetch, in the words of `nharness run`, and the folder."""
    options.add_options(parser, ("model", "text", "tasks"), without=("--record-dtype",))
    parser.add_argument(
        "--documents", type=options.whole(1), metavar="N", help="most documents of a corpus per split and language"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder to write, which is then carried to the other machine",
    )
    add_plugin_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Fetch what was named, and print the options that use it."""
    given = options.given(arguments)
    if not given.keys() & set(WANTED):
        raise UsageError("nothing to fetch: expected --model, --tasks or --corpus")
    spec, plugins = settings.build_spec(given), load_plugins(arguments)
    from nharness.run.plan.resolve import expanded, open_corpus
    from nharness.run.prefetch import fetch_corpus, fetch_folder, fetch_model, fetch_tasks

    out, use = arguments.out, ["nharness", "run"]
    check_writable(out)
    corpus = open_corpus(spec.corpus, spec.languages, plugins) if "corpus" in given else None
    tags = choose_languages(spec.languages, corpus.languages, where=corpus.name) if corpus else spec.languages
    if "model" in given:
        named = {name: plugins.resolve("models", name) for name in plugins.entries("models")}
        folder, args = fetch_model(spec.model, named, out)
        use += ["--model", str(folder)]
        use += ["--model-args", ",".join(f"{key}={value}" for key, value in args.items())] if args else []
        use += ["--trust-remote-code"] if spec.model.trust_remote_code else []
    if corpus is not None:
        use += ["--corpus", str(fetch_corpus(corpus, tags, out, documents=arguments.documents))]
    if "tasks" in given:
        tasks, warnings = expanded(spec, tags, plugins)
        for text in warnings:
            warn(text)
        kept = fetch_tasks(tasks, spec.task_options, plugins, out)
        use += ["--tasks", ",".join(spec.tasks), *(["--dataset-dir", str(out / "datasets")] if kept.files else [])]
        folders = [str(fetch_folder(Path(place), out, kept.renamed)) for place in spec.task_options.include_path]
        use += ["--include-path", ",".join(folders)] if folders else []
    use += ["--languages", ",".join(tags)] if tags else []
    say(f"fetched into {out}; to use it: {shlex.join(use)}")
    return 0
