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

    name: str = Field(min_length=1)
    options: Mapping[str, Any] = {}


class ModelSpec(Value):
    """The model: a registered name, a folder, or a hub name, with lm-eval's `--model-args`."""

    name: str = "babel"
    args: Annotated[Mapping[str, Scalar], AfterValidator(_with_known_dtype)] = {}
    device: Device = Field("auto", description='"auto", "cpu", "cuda", "cuda:1", ...')
    dtype: Dtype = Field("auto", description='"auto" is the checkpoint\'s own; else "float32", "bfloat16", "float16"')
    device_map: str | None = None
    trust_remote_code: bool = False
    batch_tokens: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto", description="tokens per forward pass, padding included"
    )
    max_length: int = Field(512, ge=8, description="longest window, in tokens")


class CorpusSpec(Value):
    """The text: a registered name, a folder or file, or a hub dataset."""

    name: str = "sample"
    config: str | None = None
    text_column: str = "text"
    id_column: str | None = None
    language_column: str | None = None
    detect_split: str | None = Field(None, description="the source's split to detect on; null finds one by name")
    eval_split: str | None = None
    streaming: bool = False
    detect_tokens: int = Field(30_000, ge=1, le=2**53, description="most tokens per language that detection records")
    eval_tokens: int = Field(
        4_000, ge=1, le=2**53, description="most tokens per language that perplexity is measured on"
    )
    tokens_of_interest: Literal["all", "response"] = "all"


class TaskOptions(Value):
    """What lm-eval is asked for."""

    include_path: tuple[str, ...] = ()
    dataset_dir: str | None = None
    num_fewshot: int | None = Field(None, ge=0)
    limit: int | None = Field(None, ge=1, description="items per task and language")
    chat_template: bool = False
    columns: Mapping[str, str] = {}


class ControlSpec(Value):
    """Matched random neurons: the detector that draws them, how often, and what they are judged on."""

    detector: str = Field("random", description="a registered detector that takes a reference")
    tasks: Annotated[tuple[str, ...], Distinct] = Field(("ppl",), description="tasks that controls are measured on")
    match: Literal["layer", "frequency", "uniform"] = "layer"
    draws: int = Field(5, ge=0, le=1000, description="most draws per target")
    least: int = Field(5, ge=0, description="fewest draws before a decision may stop them")
    eval_tokens: int = Field(1_000, ge=1, description="tokens per language of the sample that controls are judged on")


class AnalysisSpec(Value):
    """How intervals are made."""

    bootstrap_draws: int = Field(2_000, ge=100, le=1_000_000)
    confidence: float = Field(0.95, gt=0.5, lt=1)
    precision: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="stop a cell at this half-width (bits per byte)"
    )


class Claim(Value):
    """A statement about a record's summary, such as `selectivity > 0.01`; a run whose claim fails exits with 1."""

    statement: str = Field(min_length=1)
    detector: str | None = None


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

    model: ModelSpec = ModelSpec()
    corpus: CorpusSpec = CorpusSpec()
    languages: tuple[str, ...] = Field((), description="canonical tags; empty means all that the corpus has")
    detectors: tuple[Named, ...] = (Named(name="lape"),)
    interventions: tuple[Named, ...] = (Named(name="zero"),)
    strengths: Annotated[tuple[Finite, ...], Distinct] = ()
    kinds: Annotated[tuple[TargetKind, ...], Distinct] = Field(
        (), description="kinds deactivated; empty means all of a language's neurons"
    )
    budget: float | None = Field(None, gt=0, le=1, description="neurons per language as a share of all neurons")
    budget_curve: Rates = ()
    tasks: Annotated[tuple[str, ...], Distinct] = ("ppl",)
    task_options: TaskOptions = TaskOptions()
    controls: ControlSpec = ControlSpec()
    analysis: AnalysisSpec = AnalysisSpec()
    edit_backend: Literal["auto", "hook", "fold"] = "auto"
    scope: Literal["all", "generation"] = "all"
    source_language: str | None = Field(None, description="whose neurons `steer` switches off")
    folds: Folds = Field(0, ge=0, le=50, description="disjoint corpus parts that detection is repeated on; 0 is none")
    null: bool = Field(False, description="repeat detection with shuffled language labels")
    ground_truth: bool = False
    claims: tuple[Claim, ...] = ()
    seed: int = Field(0, ge=0, le=2**53, description="records, being JSON, hold no larger whole number exactly")

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
