"""The specification of a run: one frozen value that says everything a run does, in and nothing else in.

It is what the command line and a study file become, what the run folder keeps, and what a record repeats.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from nharness.errors import UsageError, nearest

Scalar = bool | int | float | str
TargetKind = Literal["specific", "related", "general"]


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
        raise ValueError(f"expected each once, {twice!r} is there twice")
    return values


Device = Annotated[str, AfterValidator(_known_device)]
Dtype = Annotated[str, AfterValidator(_known_dtype)]
Distinct = AfterValidator(_distinct)


class Value(BaseModel):
    """Base of the specification's parts: frozen, unknown names refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Named(Value):
    """A registered name (or `module:attribute`) with its options."""

    name: str = Field(min_length=1, description="registered name or module:attribute")
    options: Mapping[str, Any] = Field({}, description="its options; nharness list KIND NAME shows them")


class ModelSpec(Value):
    """The model: a registered name, a folder, or a hub name, with lm-eval's `--model-args`."""

    name: str = Field("babel", description="registered name, folder, GGUF file, or name on the hub")
    args: Annotated[Mapping[str, Scalar], AfterValidator(_with_known_dtype)] = Field(
        {}, description="as lm-eval's --model-args: revision, subfolder, gguf_file, ..."
    )
    device: Device = Field("auto", description='"auto", "cpu", "cuda", "cuda:1", ...')
    dtype: Dtype = Field("auto", description='"auto" is the checkpoint\'s own; else "float32", "bfloat16", "float16"')
    device_map: str | None = Field(None, description="spread over devices, as in transformers")
    trust_remote_code: bool = Field(False, description="run code that a checkpoint brings along")
    batch_tokens: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto", description="tokens per forward pass, padding included"
    )
    max_length: int = Field(512, ge=8, description="longest window, in tokens")


class CorpusSpec(Value):
    """The text: a registered name, a folder or file, or a hub dataset."""

    name: str = Field("sample", description="registered name, folder or file, or dataset on the hub")
    config: str | None = Field(None, description="configuration of a hub dataset; {language} stands for each language")
    text_column: str = Field("text", description="column with the text")
    id_column: str | None = Field(None, description="column with the ids; none: id if there is one, else numbered rows")
    language_column: str | None = Field(None, description="column with the language, where the file name says none")
    detect_split: str | None = Field(None, description="the source's split to detect on; null finds one by name")
    eval_split: str | None = Field(None, description="the source's split to evaluate on; likewise")
    streaming: bool = Field(False, description="read a hub dataset without downloading all of it")
    detect_tokens: int = Field(30_000, ge=1, le=2**53, description="most tokens per language that detection records")
    eval_tokens: int = Field(
        4_000, ge=1, le=2**53, description="most tokens per language that perplexity is measured on"
    )
    tokens_of_interest: Literal["all", "response"] = Field("all", description="response: the prompt's are not counted")
    response_tokens: int = Field(
        64, ge=1, le=100_000, description="most tokens of an answer that the model writes to a prompt without one"
    )


class TaskOptions(Value):
    """What lm-eval is asked for."""

    include_path: tuple[str, ...] = Field((), description="folders with lm-eval's YAML tasks")
    dataset_dir: str | None = Field(None, description="folder of local files that serve tasks' data")
    num_fewshot: int | None = Field(None, ge=0, description="few-shot examples; none: as the task says")
    limit: int | None = Field(None, ge=1, description="items per task and language")
    chat_template: bool = Field(False, description="wrap prompts in the chat template")
    columns: Mapping[str, str] = Field({}, description="what a task's fields are made of, in local files")


class ControlSpec(Value):
    """Matched random neurons: the detector that draws them, how often, and what they are judged on."""

    detector: str = Field("random", description="a registered detector that takes a reference")
    tasks: Annotated[tuple[str, ...], Distinct] = Field(("ppl",), description="tasks that controls are measured on")
    match: Literal["layer", "frequency", "uniform"] = Field("layer", description="what draws share with their target")
    draws: int = Field(20, ge=0, le=1000, description="most draws per target; as many as decisions need")
    least: int = Field(5, ge=0, description="fewest draws before a decision may stop them")
    eval_tokens: int = Field(1_000, ge=1, description="tokens per language of the sample that controls are judged on")


class AnalysisSpec(Value):
    """How intervals are made."""

    bootstrap_draws: int = Field(2_000, ge=100, le=1_000_000, description="draws of every interval")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="share of draws inside an interval")
    precision: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="stop a cell at this half-width (bits per byte)"
    )


class Claim(Value):
    """A statement about a record's summary, such as `selectivity > 0.01`; a run whose claim fails exits with 1."""

    statement: str = Field(min_length=1, description="[TASK.]QUANTITY[.low or .high] OPERATOR NUMBER")
    detector: str | None = Field(None, description="the one detector it is about; none: every one")


def _several(folds: int) -> int:
    if folds == 1:
        raise ValueError("expected 0 (none) or at least 2 parts to compare")
    return folds


Folds = Annotated[int, AfterValidator(_several)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1)]
Rates = Annotated[tuple[Share, ...], Distinct, AfterValidator(lambda rates: tuple(sorted(rates)))]


class RunSpec(Value):
    """Everything a run does."""

    model: ModelSpec = Field(ModelSpec(), description="the model")
    corpus: CorpusSpec = Field(CorpusSpec(), description="the text")
    languages: tuple[str, ...] = Field((), description="canonical tags; empty means all that the corpus has")
    detectors: tuple[Named, ...] = Field((Named(name="lape"),), description="which find neurons")
    interventions: tuple[Named, ...] = Field((Named(name="zero"),), description="what is done to them")
    strengths: Annotated[tuple[Finite, ...], Distinct] = Field((), description="sweep of the intervention's strength")
    kinds: Annotated[tuple[TargetKind, ...], Distinct] = Field(
        (), description="kinds deactivated; empty means all of a language's neurons"
    )
    budget: float | None = Field(None, gt=0, le=1, description="neurons per language as a share of all neurons")
    budget_curve: Rates = Field((), description="several budgets: the dose-response")
    progressive: Rates = Field((), description="targets are these shares of each language's neurons, the best first")
    tasks: Annotated[tuple[str, ...], Distinct] = Field(("ppl",), description="families, or tasks of lm-eval")
    task_options: TaskOptions = Field(TaskOptions(), description="what lm-eval is asked for")
    controls: ControlSpec = Field(ControlSpec(), description="random neurons to compare with")
    analysis: AnalysisSpec = Field(AnalysisSpec(), description="how intervals are made")
    edit_backend: Literal["auto", "hook", "fold"] = Field("auto", description="how edits are applied")
    scope: Literal["all", "generation"] = Field("all", description="generation: prompts are read by the intact model")
    source_language: str | None = Field(None, description="whose neurons `steer` switches off")
    folds: Folds = Field(0, ge=0, le=50, description="disjoint corpus parts that detection is repeated on; 0 is none")
    null: bool = Field(False, description="repeat detection with shuffled language labels")
    ground_truth: bool = Field(False, description="score detectors against known neurons")
    claims: tuple[Claim, ...] = Field((), description="statements that must hold; one that fails is exit code 1")
    seed: int = Field(0, ge=0, le=2**53, description="of every random choice; JSON holds no larger one exactly")

    def digest(self) -> str:
        """Return 16 hexadecimal digits that change with anything in the specification."""
        return digest(self.model_dump(mode="json"))[:16]


def digest(document: Any) -> str:
    """Return the SHA-256 of a JSON document's one canonical spelling; raises `UsageError` for NaN and the like."""
    try:
        text = json.dumps(document, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise UsageError(f"a value that JSON cannot hold ({error}) in {str(document)[:80]}") from error
    return hashlib.sha256(text.encode()).hexdigest()
