"""The specification of a run: one frozen value that says everything a run does, in and nothing else in.

It is what the command line and a study file become, what the run folder keeps, and what a record repeats.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from nharness.errors import UsageError, nearest

Scalar = bool | int | float | str
TargetKind = Literal["specific", "related", "general"]
FIRST_TASKS, FIRST_ITEMS = ("ppl", "continuation"), 12
"""What a run on the sample text measures by default."""

_PATH = re.compile(r"(?<![\w./~*])(?:~[\w.-]*|\.{1,2})?/(?!/)[^\s,;:=|()'\"<>\[\]]+")

HIDDEN = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
"""What a terminal obeys instead of showing, and what turns the direction of text round, for a set of a pattern."""
HIDDEN_CHARACTER = re.compile(f"[{HIDDEN}]")
LONGEST_NAME = 200
DTYPES = ("float32", "bfloat16", "float16", "float64")


def _known_dtype(name: str) -> str:
    short = name.removeprefix("torch.")
    if short not in {"auto", *DTYPES}:
        raise ValueError(f"expected auto, {', '.join(DTYPES)}{nearest(short, DTYPES)}")
    return name


def _with_known_dtype(args: Mapping[str, Any]) -> Mapping[str, Any]:
    _known_dtype(str(args.get("dtype", "auto")))
    return args


def _known_device(name: str) -> str:
    if not re.fullmatch(r"[a-z]+(:\d{1,4})?", name):
        raise ValueError("expected auto, cpu, or a kind of device with its number, such as cuda or cuda:1")
    return name


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    twice = next((value for place, value in enumerate(values) if value in values[:place]), None)
    if twice is not None:
        raise ValueError(f"expected each once, {twice!r} is repeated")
    return values


def _publishable(name: str) -> str:
    last = name.rpartition("/")[2]
    own = last if len(last) > LONGEST_NAME else public_name(name)
    if len(own) > LONGEST_NAME or HIDDEN_CHARACTER.search(own):
        raise ValueError(f"a name of at most {LONGEST_NAME} characters, none of them a control character; rename it")
    return name


Device = Annotated[str, AfterValidator(_known_device)]
Dtype = Annotated[str, AfterValidator(_known_dtype)]
Publishable = AfterValidator(_publishable)
"""A name that a record can hold: that of the model and of the corpus."""
Distinct = AfterValidator(_distinct)


@dataclass(frozen=True)
class Flag:
    """How the command line and configuration files name a field; nothing but this makes an option of it.

    name: without the dashes in front; the field's own name where it is left out. metavar: what stands for the value in
    the help; by the field's type where it is left out. default: what is said of the default, where that is more than a
    value. group: the heading that the option, or every option of a table, stands under. whole: a text is one entry of
    the list, commas and all.
    """

    name: str = ""
    metavar: str = ""
    default: str = ""
    group: str = ""
    whole: bool = False


class Value(BaseModel):
    """Base of the specification's parts: frozen, unknown names refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Named(Value):
    """A registered name (or `module:attribute`) with its options."""

    name: str = Field(min_length=1, description="registered name or module:attribute")
    options: Mapping[str, Any] = Field({}, description="its options (see nharness list KIND NAME)")


class ModelSpec(Value):
    """The model: a registered name, a folder, or a hub name, with lm-eval's `--model-args`."""

    name: Annotated[str, Publishable, Flag("model", "NAME")] = Field(
        "babel", description="registered name, folder, GGUF file, or name on the hub"
    )
    args: Annotated[Mapping[str, Scalar], AfterValidator(_with_known_dtype), Flag("model-args")] = Field(
        {}, description="as lm-eval's --model-args: revision, subfolder, gguf_file, ..."
    )
    device: Annotated[Device, Flag(metavar="DEVICE")] = Field("auto", description="auto, cpu, cuda, cuda:1, ...")
    dtype: Annotated[Dtype, Flag(metavar="DTYPE")] = Field(
        "auto", description="auto (the checkpoint's own), float32, bfloat16, float16, float64"
    )
    record_dtype: Annotated[Dtype | None, Flag(metavar="DTYPE", default="as --dtype")] = Field(
        None, description="type of the weights while neurons are found, where it is another"
    )
    device_map: Annotated[str | None, Flag(metavar="MAP")] = Field(
        None, description="spread over devices, as in transformers"
    )
    trust_remote_code: Annotated[bool, Flag()] = Field(False, description="run code that a checkpoint contains")
    batch_tokens: Annotated[Annotated[int, Field(ge=1, le=2**31)] | Literal["auto"], Flag(metavar="N")] = Field(
        "auto", description="tokens per forward pass, padding included"
    )
    max_length: Annotated[int, Flag()] = Field(512, ge=8, le=2**31, description="longest window, in tokens")


class CorpusSpec(Value):
    """The text: a registered name, a folder or file, or a hub dataset. What has no flag is set by `--corpus-args`."""

    name: Annotated[str, Publishable, Flag("corpus", "NAME")] = Field(
        "sample", description="registered name, folder or file, or dataset on the hub"
    )
    config: str | None = Field(None, description="configuration of a hub dataset; {language} stands for each language")
    text_column: str = Field("text", description="column with the text")
    id_column: str | None = Field(None, description="column with the ids; none: id if there is one, else numbered rows")
    language_column: str | None = Field(None, description="column with the language, where the file name says none")
    detect_split: str | None = Field(None, description="the source's split to detect on; none: found by its name")
    eval_split: str | None = Field(None, description="the source's split to evaluate on; likewise")
    streaming: bool = Field(False, description="read a hub dataset without downloading all of it")
    romanised: bool = Field(
        False, description=("romanise: make a language requested in Latin script (ru-Latn) from its own (ru)")
    )
    detect_tokens: Annotated[int, Flag()] = Field(
        30_000, ge=1, le=2**53, description="at most this many tokens per language for detection"
    )
    eval_tokens: Annotated[int, Flag()] = Field(
        4_000, ge=1, le=2**53, description="at most this many tokens per language for perplexity"
    )
    tokens_of_interest: Annotated[Literal["all", "response"], Flag("tokens", "WHICH")] = Field(
        "all",
        description="which tokens count; response: not the prompt's, and the model answers open prompts",
    )
    response_tokens: Annotated[int, Flag()] = Field(
        64, ge=1, le=100_000, description="at most this many tokens of an answer written to a prompt without one"
    )


class TaskOptions(Value):
    """What lm-eval is asked for."""

    include_path: Annotated[tuple[str, ...], Flag(metavar="DIR,...")] = Field(
        (), description="folders with lm-eval's YAML tasks"
    )
    trust_tasks: Annotated[bool, Flag()] = Field(
        False, description="run Python that such a folder contains, if the folder is not your own"
    )
    dataset_dir: Annotated[str | None, Flag(metavar="DIR")] = Field(
        None, description="folder of local files that serve tasks' data"
    )
    num_fewshot: Annotated[int | None, Flag()] = Field(
        None, ge=0, le=10_000, description="few-shot examples; none: as the task says"
    )
    limit: Annotated[int | None, Flag()] = Field(
        None, ge=1, le=2**53, description="items per task and language, except perplexity"
    )
    chat_template: Annotated[bool, Flag("apply-chat-template")] = Field(
        False, description="wrap prompts in the chat template"
    )
    columns: Annotated[Mapping[str, str], Flag("task-columns")] = Field(
        {}, description="what a task's fields are made of, in local files"
    )


class ControlSpec(Value):
    """Matched random neurons: the detector that draws them, how often, and what they are judged on."""

    detector: Annotated[str, Flag("control-detector", "NAME")] = Field(
        "random", description="a registered detector that takes a reference"
    )
    tasks: Annotated[tuple[str, ...], Distinct, Flag("control-tasks", default="all of the run's")] = Field(
        (), description="tasks that controls are measured on (empty: all)"
    )
    match: Annotated[Literal["layer", "frequency", "uniform"], Flag("control-match", "HOW")] = Field(
        "layer", description="what draws share with their target"
    )
    draws: Annotated[int, Flag("controls")] = Field(
        20, ge=0, le=1000, description="at most this many random draws per target, fewer where the decision is clear"
    )
    least: Annotated[int, Flag("least-controls")] = Field(
        5, ge=0, le=1000, description="fewest random draws before a clear decision may stop them"
    )
    eval_tokens: Annotated[int, Flag("control-tokens")] = Field(
        1_000, ge=1, le=2**53, description="tokens per language of the sample that controls are judged on"
    )

    def measures(self, family: str) -> bool:
        """Tell whether draws are measured on the tasks of a family."""
        return bool(self.draws) and (not self.tasks or family in self.tasks)


class AnalysisSpec(Value):
    """How intervals are made."""

    bootstrap_draws: Annotated[int, Flag()] = Field(2_000, ge=100, le=1_000_000, description="draws of every interval")
    confidence: Annotated[float, Flag()] = Field(0.95, gt=0.5, lt=1, description="share of draws inside an interval")
    precision: Annotated[float | None, Flag()] = Field(
        None, gt=0, allow_inf_nan=False, description="stop a cell at this half-width of its interval, in bits per byte"
    )


class Claim(Value):
    """A statement about a record's summary, such as `selectivity > 0.01`; a run whose claim fails exits with 1."""

    statement: str = Field(min_length=1, description="[TASK.]QUANTITY[.low or .high] OPERATOR NUMBER")
    detector: str | None = Field(None, description="the one detector it is about (none: all)")


REPEATS = 4
"""Repeats of the detection whose scatter is in a headline's interval, where nothing else is asked for."""


def _several(folds: int | None) -> int | None:
    if folds == 1:
        raise ValueError("expected 0 (none) or at least 2 parts to compare")
    return folds


Folds = Annotated[Annotated[int, Field(ge=0, le=50)] | None, AfterValidator(_several)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1)]
Rates = Annotated[tuple[Share, ...], Distinct, AfterValidator(lambda rates: tuple(sorted(rates)))]


class RunSpec(Value):
    """Everything a run does.

    This is the one place where an option is written: help, configuration files, `--show-config` and the tables of
    docs/configuration.md and docs/studies.md are made of it.
    """

    model: Annotated[ModelSpec, Flag(group="model")] = Field(ModelSpec(), description="the model")
    corpus: Annotated[CorpusSpec, Flag(group="text")] = Field(CorpusSpec(), description="the text")
    languages: Annotated[tuple[str, ...], Flag(group="text", default="all that the corpus has")] = Field(
        (), description="BCP 47 tags, FLORES codes or English names"
    )
    detectors: Annotated[tuple[Named, ...], Flag("detector", group="what to run")] = Field(
        (Named(name="lape"),), description="detectors to run: names, module:attribute, file:NEURONS.safetensors"
    )
    interventions: Annotated[tuple[Named, ...], Flag("intervention", group="what to run")] = Field(
        (Named(name="zero"),), description="edits of the neurons: names, module:attribute"
    )
    strengths: Annotated[tuple[Finite, ...], Distinct, Flag("strength", group="what to run")] = Field(
        (), description="several strengths of the intervention"
    )
    kinds: Annotated[tuple[TargetKind, ...], Distinct, Flag(group="what to run", default="all of a language's")] = (
        Field((), description="kinds of neurons that are deactivated")
    )
    budget: Annotated[float | None, Flag(metavar="SHARE", group="what to run")] = Field(
        None, gt=0, le=1, description="cut every detection to this share of all neurons per language"
    )
    budget_curve: Annotated[Rates, Flag(group="what to run")] = Field(
        (), description="several budgets: the dose-response curve"
    )
    ladder: Annotated[bool, Flag(group="what to run")] = Field(
        False, description="switch off ever more of each language's ranked neurons: the headline"
    )
    progressive: Annotated[Rates, Flag(group="what to run")] = Field(
        (), description="switch off these shares of each language's neurons, the best first"
    )
    tasks: Annotated[
        tuple[str, ...],
        Distinct,
        Flag(group="tasks", default=f"ppl, and {FIRST_ITEMS} items of continuation unless a corpus is named"),
    ] = Field(("ppl",), description="ppl, families, and tasks of lm-eval")
    task_options: Annotated[TaskOptions, Flag(group="tasks")] = Field(TaskOptions(), description="options of lm-eval")
    controls: Annotated[ControlSpec, Flag(group="rigour")] = Field(
        ControlSpec(), description="random neurons for comparison"
    )
    analysis: Annotated[AnalysisSpec, Flag(group="rigour")] = Field(
        AnalysisSpec(), description="how intervals are computed"
    )
    edit_backend: Annotated[Literal["auto", "hook", "fold"], Flag(metavar="HOW", group="edits")] = Field(
        "auto", description="how edits are applied"
    )
    scope: Annotated[Literal["all", "generation"], Flag(metavar="WHICH", group="edits")] = Field(
        "all", description="which tokens are edited; with generation the intact model reads the prompt"
    )
    source_language: Annotated[str | None, Flag(metavar="LANG", group="what to run")] = Field(
        None, description="for steer: whose neurons are switched off"
    )
    folds: Annotated[Folds, Flag(metavar="N", group="rigour", default=f"{REPEATS} with --ladder, else 0")] = Field(
        None,
        description=("repeat detection on this many disjoint parts of the text; the headline's interval covers them"),
    )
    null: Annotated[bool, Flag(group="rigour")] = Field(
        False, description="repeat detection with shuffled language labels"
    )
    ground_truth: Annotated[bool, Flag(group="rigour")] = Field(
        False, description="score detectors against known neurons"
    )
    lens: Annotated[int, Flag(group="rigour")] = Field(
        0, ge=0, le=1_000_000, description="tokens per language that are read after every layer, through the LM head"
    )
    claims: Annotated[tuple[Claim, ...], Flag("claim", "TEXT", group="rigour", whole=True)] = Field(
        (), description="statements that must hold, such as 'selectivity > 0.01'; exit with 1 if one fails"
    )
    strict_claims: Annotated[bool, Flag(group="rigour")] = Field(
        False, description="exit with 1 for an undecided claim too"
    )
    seed: Annotated[int, Flag(group="rigour")] = Field(0, ge=0, le=2**53, description="seed of every random choice")

    def digest(self) -> str:
        """Return 16 hexadecimal digits that change with anything in the specification."""
        return digest(self.model_dump(mode="json"))[:16]


def public_name(name: str) -> str:
    """Return a folder's or file's own name for one of this machine, any other name as it is."""
    place = Path(name).expanduser()
    return place.resolve().name if place.is_absolute() or place.exists() else name


def as_identifier(text: str) -> str:
    """Return a text as records name detectors and tasks: a hyphen for what no name has, its last 90 characters."""
    return re.sub(r"[^A-Za-z0-9_.:+-]+", "-", text)[-90:].lstrip(".:+-") or "unnamed"


def public_text(text: str) -> str:
    """Return text with every path of the machine (absolute, or from home or the folder above) cut to its last part."""
    return _PATH.sub(lambda found: found[0].rstrip("/").rpartition("/")[2] or ".", text)


def digest(document: Any) -> str:
    """Return the SHA-256 of a JSON document's one canonical spelling; raises `UsageError` for NaN and the like."""
    try:
        text = json.dumps(document, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise UsageError(f"a value that JSON cannot hold ({error}) in {str(document)[:80]}") from error
    return hashlib.sha256(text.encode()).hexdigest()
