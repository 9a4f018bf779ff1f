"""What `nharness.run` may be told, for type checkers and completion: the options of `RunSpec`, by a test.

At run time names, ranges and defaults are `RunSpec`'s own; what each option does, docs/configuration.md says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

Plugged = str | type | Mapping[str, Any]
"""A registered name, `module:attribute`, the class itself, or a table of `name` and `options`."""


class Settings(TypedDict, total=False):
    """Every option of a run, by its name on the command line with `_` for `-`."""

    model: str | Path
    model_args: Mapping[str, Any]
    device: str
    dtype: str
    record_dtype: str | None
    device_map: str | None
    trust_remote_code: bool
    batch_tokens: int | Literal["auto"]
    max_length: int
    corpus: str | Path
    detect_tokens: int
    eval_tokens: int
    tokens: Literal["all", "response"]
    response_tokens: int
    languages: str | Sequence[str]
    detector: Plugged | Sequence[Plugged]
    intervention: Plugged | Sequence[Plugged]
    strength: Sequence[float]
    kinds: Sequence[Literal["specific", "related", "general"]]
    budget: float | None
    budget_curve: Sequence[float]
    ladder: bool
    progressive: Sequence[float]
    tasks: str | Sequence[str]
    include_path: str | Path | Sequence[str | Path]
    trust_tasks: bool
    dataset_dir: str | Path | None
    num_fewshot: int | None
    limit: int | None
    apply_chat_template: bool
    task_columns: Mapping[str, Any]
    control_detector: str
    control_tasks: str | Sequence[str]
    control_match: Literal["layer", "frequency", "uniform"]
    controls: int
    least_controls: int
    control_tokens: int
    bootstrap_draws: int
    confidence: float
    precision: float | None
    edit_backend: Literal["auto", "hook", "fold"]
    scope: Literal["all", "generation"]
    source_language: str | None
    folds: int | None
    null: bool
    ground_truth: bool
    lens: int
    claim: str | Sequence[str | Mapping[str, str]]
    strict_claims: bool
    seed: int
    option: Mapping[str, Any]
    intervention_option: Mapping[str, Any]
    corpus_args: Mapping[str, Any]
