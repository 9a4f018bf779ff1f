"""The options that make a run specification: one table for the command line, the configuration file and its origin.

Every option knows the place in `RunSpec` that it sets, so that a value from `nharness.toml` and the same value from the
command line cannot mean different things.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nharness.errors import OptionError, UsageError
from nharness.ranges import expected_at
from nharness.spec import RunSpec


@dataclass(frozen=True)
class Option:
    """One option: flag, dotted place in the specification, how its text is read, and what it says of itself."""

    flag: str
    place: str
    read: Callable[[str], Any]
    summary: str
    metavar: str = ""
    switch: bool = False

    @property
    def name(self) -> str:
        """The name in a configuration file and in messages: the flag without dashes in front."""
        return self.flag.lstrip("-")

    @property
    def dest(self) -> str:
        """The attribute of the parsed command line."""
        return self.name.replace("-", "_")


def whole(least: int = 0) -> Callable[[str], int]:
    """Return what reads a whole number at least `least` from the command line."""

    def read(text: str) -> int:
        try:
            found = int(text)
        except ValueError:
            found = least - 1
        if found < least:
            raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number at least {least}")
        return found

    return read


def words(text: str) -> list[str]:
    """Read `a,b,c`."""
    return [part.strip() for part in text.split(",") if part.strip()]


def numbers(text: str) -> list[float]:
    """Read `0.5,1,2`."""
    return [float(part) for part in words(text)]


def names(text: str) -> list[dict[str, Any]]:
    """Read registered names `a,b` (a `module:attribute` is one name)."""
    return [{"name": part} for part in words(text)]


def pairs(text: str) -> dict[str, Any]:
    """Read `key=value,key=value`, values as lm-eval reads them: true, false, none, numbers, else text.

    Raises `UsageError` for a part without `=`.
    """
    found: dict[str, Any] = {}
    for part in words(text):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"{part!r} in {text!r}; expected key=value,key=value")
        found[key.strip()] = scalar(value.strip())
    return found


def scalar(text: str) -> Any:
    """Read one value: true/false, none, whole number, number, else the text itself."""
    lowered = text.lower()
    if lowered in {"true", "false"}:
        return lowered == "true"
    if lowered == "none":
        return None
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def auto_or_int(text: str) -> Any:
    """Read `auto` or a whole number."""
    return text if text == "auto" else int(text)


def number_or_none(text: str) -> float | None:
    """Read a number or `none`."""
    return None if text.lower() == "none" else float(text)


def claims(text: str) -> list[dict[str, str]]:
    """Read one claim."""
    return [{"statement": text}]


WHAT = (
    Option(
        "--detector", "detectors", names, "detectors to run: names, module:attr paths, file:NEURONS.safetensors", "A,B"
    ),
    Option(
        "--option",
        "detector_options",
        pairs,
        "detector options, for every detector that has them or as DETECTOR.key",
        "K=V,...",
    ),
    Option("--intervention", "interventions", names, "what is done to the neurons (default zero)", "A,B"),
    Option("--intervention-option", "intervention_options", pairs, "intervention options", "K=V,..."),
    Option("--strength", "strengths", numbers, "sweep of the intervention's strength", "A,B"),
    Option("--kinds", "kinds", words, "deactivate only neurons of these kinds: specific,related,general", "A,B"),
    Option("--budget", "budget", float, "cut every detection to this share of all neurons per language", "SHARE"),
    Option("--budget-curve", "budget_curve", numbers, "run at several budgets: the dose-response", "A,B"),
    Option("--progressive", "progressive", numbers, "switch off these shares of each language's neurons", "A,B"),
    Option("--source-language", "source_language", str, "for steer: whose neurons are switched off", "LANG"),
)
MODEL = (
    Option("--model", "model.name", str, "registered name, folder, or hub name (default babel)", "NAME"),
    Option("--model-args", "model.args", pairs, "as in lm-eval: revision=..., gguf_file=..., ...", "K=V,..."),
    Option("--device", "model.device", str, "auto, cpu, cuda, cuda:1 (default auto)", "DEVICE"),
    Option("--dtype", "model.dtype", str, "auto (the checkpoint's), float32, bfloat16, float16", "DTYPE"),
    Option("--device-map", "model.device_map", str, "spread a model over devices, as in transformers", "MAP"),
    Option(
        "--trust-remote-code", "model.trust_remote_code", bool, "run code that a checkpoint brings along", switch=True
    ),
    Option("--batch-tokens", "model.batch_tokens", auto_or_int, "tokens per forward pass (default auto)", "N"),
    Option("--max-length", "model.max_length", int, "longest window in tokens (default 512)", "N"),
)
TEXT = (
    Option("--languages", "languages", words, "language tags (default all that the corpus has)", "A,B"),
    Option("--corpus", "corpus.name", str, "registered name, folder, file, or hub dataset (default sample)", "NAME"),
    Option("--corpus-args", "corpus", pairs, "text_column=..., id_column=..., config=..., ...", "K=V,..."),
    Option(
        "--detect-tokens", "corpus.detect_tokens", int, "most tokens per language for detection (default 30000)", "N"
    ),
    Option("--eval-tokens", "corpus.eval_tokens", int, "most tokens per language for perplexity (default 4000)", "N"),
    Option(
        "--tokens",
        "corpus.tokens_of_interest",
        str,
        "all, or response: not the prompt's; prompts without an answer are answered by the model",
        "WHICH",
    ),
    Option("--response-tokens", "corpus.response_tokens", int, "most tokens of such an answer (default 64)", "N"),
)
TASKS = (
    Option("--tasks", "tasks", words, "ppl, families, lm-eval tasks (default ppl, continuation)", "A,B"),
    Option("--limit", "task_options.limit", int, "items per lm-eval task and language", "N"),
    Option("--num-fewshot", "task_options.num_fewshot", int, "few-shot examples", "N"),
    Option("--include-path", "task_options.include_path", words, "folders with lm-eval YAML tasks", "DIR,..."),
    Option("--dataset-dir", "task_options.dataset_dir", str, "serve tasks' data from local files", "DIR"),
    Option(
        "--apply-chat-template", "task_options.chat_template", bool, "wrap prompts in the chat template", switch=True
    ),
)
RIGOUR = (
    Option("--controls", "controls.draws", int, "most matched random draws per target (default 20)", "N"),
    Option("--control-match", "controls.match", str, "layer, frequency, uniform (default layer)", "HOW"),
    Option("--control-tasks", "controls.tasks", words, "tasks that controls are measured on (default ppl)", "A,B"),
    Option("--control-tokens", "controls.eval_tokens", int, "tokens per language for controls (default 1000)", "N"),
    Option("--bootstrap-draws", "analysis.bootstrap_draws", int, "bootstrap draws (default 2000)", "N"),
    Option("--precision", "analysis.precision", number_or_none, "stop a cell at this half-width in bits per byte", "X"),
    Option("--folds", "folds", int, "re-detect on N disjoint corpus parts", "N"),
    Option("--null", "null", bool, "re-detect with shuffled language labels", switch=True),
    Option("--ground-truth", "ground_truth", bool, "score detectors against known causal truth", switch=True),
    Option("--claim", "claims", claims, "a statement that must hold, such as 'selectivity > 0.01'", "TEXT"),
    Option("--seed", "seed", int, "seed of every random choice (default 0)", "N"),
)
EDITS = (
    Option("--edit-backend", "edit_backend", str, "auto, hook, fold (default auto)", "HOW"),
    Option("--scope", "scope", str, "all tokens, or generation only", "WHICH"),
)
GROUPS: Mapping[str, tuple[Option, ...]] = {
    "what is run": WHAT,
    "model": MODEL,
    "text": TEXT,
    "tasks": TASKS,
    "rigour": RIGOUR,
    "edits": EDITS,
}
ALL: tuple[Option, ...] = tuple(option for group in GROUPS.values() for option in group)


def add_options(
    parser: argparse.ArgumentParser, groups: Sequence[str] = tuple(GROUPS), *, without: Sequence[str] = ()
) -> None:
    """Add the named groups of options, but for some flags; what is not given is absent from the parsed command line."""
    for title in groups:
        group = parser.add_argument_group(title)
        for option in GROUPS[title]:
            if option.flag in without:
                continue
            if option.switch:
                group.add_argument(
                    option.flag, dest=option.dest, action="store_true", default=argparse.SUPPRESS, help=option.summary
                )
            else:
                group.add_argument(
                    option.flag,
                    dest=option.dest,
                    action="append",
                    metavar=option.metavar,
                    default=argparse.SUPPRESS,
                    help=option.summary,
                )


def given(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what the command line set, by option name, read into values; raises `UsageError` naming the option."""
    found: dict[str, Any] = {}
    for option in ALL:
        if hasattr(arguments, option.dest):
            raw = getattr(arguments, option.dest)
            found[option.name] = True if option.switch else _read_all(option, raw)
    return found


def _read_all(option: Option, texts: Sequence[str]) -> Any:
    values = [_read(option, text) for text in texts]
    if isinstance(values[0], list):
        return [entry for value in values for entry in value]
    if isinstance(values[0], dict):
        return {key: entry for value in values for key, entry in value.items()}
    return values[-1]


def _read(option: Option, text: str) -> Any:
    try:
        return option.read(text)
    except ValueError as error:
        raise refused(option, text) from error


def refused(option: Option, got: Any) -> OptionError:
    """Return the error for a value that the option's place in the specification cannot hold."""
    return OptionError(f"{option.flag} is {got!r}; expected {expected_at(RunSpec, option.place) or option.summary}")
