"""What was probably meant: options of lm-eval's command line, near misses, and words that stand alone.

lm-eval's options are understood where ours mean the same, underscores and all; the others are answered with what is
done here instead.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from nharness.cli.options import BY_NAME
from nharness.errors import NharnessError, UsageError
from nharness.plugins import Plugins

SAME = {"--output-path": "--out"}
KEPT = "every item is kept in the record's folder; leave it out"
BATCHES = "batches are measured in tokens: use --batch-tokens N, or leave it out"
ANSWERS = {
    "--batch-size": BATCHES,
    "--max-batch-size": BATCHES,
    "--cache-requests": "results are kept and reused automatically; leave it out",
    "--confirm-run-unsafe-code": "tasks that run code written by a model are not supported",
    "--fewshot-as-multiturn": "with --apply-chat-template few-shot examples are turns; leave it out",
    "--gen-kwargs": "decoding is greedy, so that outputs can be compared; leave it out",
    "--hf-hub-log-args": "nothing is sent anywhere; nharness leaderboard add puts a record into a folder",
    "--log-samples": KEPT,
    "--predict-only": KEPT,
    "--system-instruction": "prompts are the task's own; write a task for --include-path instead",
    "--use-cache": "results are kept and reused automatically; --store DIR shares them between runs",
    "--verbosity": "expected -v or -q",
    "--wandb-args": "nothing is sent anywhere; a plug-in may implement nharness_record_written",
    "--write-out": KEPT,
}
LM_EVAL_MODELS = ("hf", "hf-auto", "huggingface", "hf-causal", "vllm")
KINDS = {
    "detectors": "detector",
    "interventions": "intervention",
    "tasks": "tasks",
    "corpora": "corpus",
    "models": "model",
}


def nearest_choice(message: str) -> str:
    """Return argparse's message, for a word that is none of the known ones with the one that was probably meant."""
    found = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
    close = difflib.get_close_matches(found[1], re.findall(r"'([^']*)'", found[2]), n=1, cutoff=0.5) if found else []
    return f"{message}; did you mean {close[0]!r}?" if close else message


def understood(words: Sequence[str], known: Collection[str], alone: Collection[str] = ()) -> list[str]:
    """Return the words of a command line, lm-eval's spellings of options as ours.

    alone: what the command takes without an option, such as the detector of `nharness detect lape`.
    Raises `UsageError` for an option that is not known, with what is near it or done instead.
    """
    found: list[str] = []
    for place, word in enumerate(words):
        if word == "--":
            return [*found, *words[place:]]
        name, equals, value = word.partition("=")
        if not name.startswith("--") or name in known:
            found.append(word)
            continue
        ours = name.replace("_", "-")
        ours = SAME.get(ours, ours)
        if ours not in known:
            if name.removeprefix("--") in alone:
                raise UsageError(f"unknown option {name}; the {name.removeprefix('--')} stands alone, without it")
            raise UsageError(f"unknown option {name}; {_instead(ours, known)}")
        found.append(f"{ours}{equals}{value}")
    return found


def _instead(name: str, known: Collection[str]) -> str:
    if name in ANSWERS:
        return ANSWERS[name]
    close = [each for each in sorted(known) if each.startswith(name)][:1]
    close = close or difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else "see --help for the known options"


def stray(words: Sequence[str], left: Sequence[str], parser: argparse.ArgumentParser) -> str:
    """Return what to say of words that nothing takes: `--languages en de`, `run lape`, `run study.toml`."""
    word = left[0]
    takes = {flag for action in parser._actions for flag in action.option_strings}  # noqa: SLF001 - nothing public lists them
    before = words[: words.index(word)]
    option = next((each for each in reversed(before) if each.startswith("-")), "")
    given = before[len(before) - before[::-1].index(option) :] if option else []
    listing = BY_NAME.get(option.lstrip("-"))
    if given and listing is not None and listing.metavar in {"A,B", "DIR,...", "K=V,..."}:
        after = [each for each in left if not each.startswith("-")]
        return f"{word!r} stands alone; a list is one word: {option} {','.join([*given, *after])}"
    flag = _flag_for(word)
    if flag and flag.split()[0] in takes:
        return f"unexpected {word!r}; did you mean {flag}?"
    return f"unexpected {word!r}; {parser.prog} --help shows what is expected"


def _flag_for(word: str) -> str:
    """Return the option that a word was probably meant for; empty when it might be anything."""
    if word.endswith(".toml"):
        return f"--study {word}"
    if word.endswith(".safetensors"):
        return f"--detector file:{word}"
    try:
        plugins = Plugins()
        found = next(
            (flag for kind, flag in KINDS.items() if word.split(",", maxsplit=1)[0] in plugins.entries(kind)), ""
        )
    except NharnessError:
        found = ""
    if not found and Path(word).exists():
        found = "model"
    return f"--{found} {word}" if found else ""


def lm_evals_model(name: str, args: Mapping[str, object]) -> str:
    """Return what to type instead of lm-eval's `--model hf --model_args pretrained=NAME`; empty for anything else."""
    model = args.get("pretrained")
    if model is None and name not in LM_EVAL_MODELS:
        return ""
    rest = ",".join(f"{key}={value}" for key, value in args.items() if key != "pretrained")
    return f"--model names the model itself: --model {model or 'NAME'}{f' --model-args {rest}' if rest else ''}"
