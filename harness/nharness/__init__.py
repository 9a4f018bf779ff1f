"""nharness: prove a claim about language neurons, or see it fail.

`__all__` is the contract: what stands in it stays, and what does not is private. A name is imported when it is first
used, so that importing nharness costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nharness.analysis.ground_truth import Truth
    from nharness.cells import Cell, CellOutcome
    from nharness.claims import Finding, NamedClaim
    from nharness.corpora import Corpus, Document
    from nharness.detector import Detector, DetectorOptions, Evidence, Need
    from nharness.errors import NharnessError, UsageError
    from nharness.evaluation.items import Item
    from nharness.foreign.site_names import site_name, site_of
    from nharness.hookspecs import Entry, hookimpl
    from nharness.interactive import (
        Printed,
        Results,
        check_claims,
        command,
        compare,
        detect,
        evaluate,
        load_detection,
        load_record,
        load_statistics,
        run,
    )
    from nharness.intervention import AnyChange, Change, Intervention, InterventionOptions, Target, ValueChange
    from nharness.models import LayerNeurons, ModelSource, NeuronMap
    from nharness.models.neuron_map import DownProjection, ModuleTap, Segment
    from nharness.neurons import Detection
    from nharness.notebook import apply, export, locate
    from nharness.record.matrix import Matrix
    from nharness.record.model import Record
    from nharness.recording import Accumulator, Activations, Shard
    from nharness.run.stages.ground_truth import KnownModel
    from nharness.run.work.executor import Executor, LocalExecutor, Seen, Work
    from nharness.run.work.measuring.protocol import Bench, Measured, Measuring, Product
    from nharness.spec import Claim, RunSpec
    from nharness.statistics import LanguageTotals, Statistics
    from nharness.task import CodedFamily, TaskFamily, TaskRunner, TaskSpec

    __version__: str

_HOMES = {
    "Accumulator": "recording",
    "Activations": "recording",
    "AnyChange": "intervention",
    "Bench": "run.work.measuring.protocol",
    "Cell": "cells",
    "CellOutcome": "cells",
    "Change": "intervention",
    "Claim": "spec",
    "CodedFamily": "task",
    "Corpus": "corpora",
    "Detection": "neurons",
    "Detector": "detector",
    "DetectorOptions": "detector",
    "Document": "corpora",
    "DownProjection": "models.neuron_map",
    "Entry": "hookspecs",
    "Evidence": "detector",
    "Executor": "run.work.executor",
    "Finding": "claims",
    "Intervention": "intervention",
    "InterventionOptions": "intervention",
    "Item": "evaluation.items",
    "KnownModel": "run.stages.ground_truth",
    "LanguageTotals": "statistics",
    "LayerNeurons": "models",
    "LocalExecutor": "run.work.executor",
    "Measured": "run.work.measuring.protocol",
    "Measuring": "run.work.measuring.protocol",
    "ModelSource": "models",
    "ModuleTap": "models.neuron_map",
    "Matrix": "record.matrix",
    "NamedClaim": "claims",
    "Need": "detector",
    "NeuronMap": "models",
    "NharnessError": "errors",
    "Product": "run.work.measuring.protocol",
    "Record": "record.model",
    "RunSpec": "spec",
    "Seen": "run.work.executor",
    "Segment": "models.neuron_map",
    "Shard": "recording",
    "Statistics": "statistics",
    "Target": "intervention",
    "TaskFamily": "task",
    "TaskRunner": "task",
    "TaskSpec": "task",
    "Truth": "analysis.ground_truth",
    "UsageError": "errors",
    "ValueChange": "intervention",
    "Work": "run.work.executor",
    "apply": "notebook",
    "check_claims": "interactive",
    "command": "interactive",
    "compare": "interactive",
    "evaluate": "interactive",
    "export": "notebook",
    "hookimpl": "hookspecs",
    "locate": "notebook",
    "run": "interactive",
    "site_name": "foreign.site_names",
    "site_of": "foreign.site_names",
    "load_statistics": "interactive",
    "load_record": "interactive",
    "load_detection": "interactive",
    "detect": "interactive",
    "Printed": "interactive",
    "Results": "interactive",
}

__all__ = [
    "Accumulator",
    "Activations",
    "AnyChange",
    "Bench",
    "Cell",
    "CellOutcome",
    "Change",
    "Claim",
    "CodedFamily",
    "Corpus",
    "Detection",
    "Detector",
    "DetectorOptions",
    "Document",
    "DownProjection",
    "Entry",
    "Evidence",
    "Executor",
    "Finding",
    "Intervention",
    "InterventionOptions",
    "Item",
    "KnownModel",
    "LanguageTotals",
    "LayerNeurons",
    "LocalExecutor",
    "Matrix",
    "Measured",
    "Measuring",
    "ModelSource",
    "ModuleTap",
    "NamedClaim",
    "Need",
    "NeuronMap",
    "NharnessError",
    "Printed",
    "Product",
    "Record",
    "Results",
    "RunSpec",
    "Seen",
    "Segment",
    "Shard",
    "Statistics",
    "Target",
    "TaskFamily",
    "TaskRunner",
    "TaskSpec",
    "Truth",
    "UsageError",
    "ValueChange",
    "Work",
    "__version__",
    "apply",
    "check_claims",
    "command",
    "compare",
    "detect",
    "evaluate",
    "export",
    "hookimpl",
    "load_detection",
    "load_record",
    "load_statistics",
    "locate",
    "run",
    "site_name",
    "site_of",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("nharness")
    if name not in _HOMES:
        raise AttributeError(f"module 'nharness' has no attribute {name!r}")
    return getattr(importlib.import_module(f"nharness.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
