"""`Record`: everything about one (model, detector, intervention), format `nharness-record/2`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from nharness.record.cells import Baseline, CellResult, Controls, Target, Task
from nharness.record.detection import Neurons
from nharness.record.headline import Headline, Repeats
from nharness.record.matrix import record_html
from nharness.record.results import AnalysisSettings, Cost, CurvePoint, GroundTruth, Stability, TaskSummary
from nharness.record.sources import (
    Corpus,
    Detector,
    Environment,
    FileEntry,
    Identity,
    Intervention,
    Model,
    Selection,
)
from nharness.record.structure import Structure
from nharness.record.types import MAX_CELLS, MAX_LANGUAGES, Asserted, LanguageTag, Section, Shipped, ShortText

FORMAT: Literal["nharness-record/2"] = "nharness-record/2"
_NOT_CONTENT = ("cost", "environment")
_NOT_IDENTITY_1 = ("id", "created", "badge")
_NOT_IDENTITY = ("id", "created", "command", "study", "specification", "badge")


class Record(Section):
    """One measurement of one detector on one model with one intervention."""

    format: Literal["nharness-record/2"] = Field(FORMAT, description="Format and version of this document.")
    identity: Identity = Field(description="What this record is, and how to make it again.")
    model: Model = Field(description="The language model.")
    corpus: Corpus = Field(description="The text neurons were found in.")
    detector: Detector = Field(description="The method that found the neurons.")
    intervention: Intervention = Field(description="What was done to the neurons.")
    selection: Selection = Field(description="Which of the detected neurons were deactivated.")
    languages: tuple[LanguageTag, ...] = Field(
        min_length=1, max_length=MAX_LANGUAGES, description="Languages of the detection, BCP 47, in order."
    )
    neurons: Neurons = Field(description="The detected neurons.")
    tasks: tuple[Task, ...] = Field(max_length=200, description="What was measured.")
    targets: tuple[Target, ...] = Field(max_length=2 * MAX_LANGUAGES, description="What each row deactivates.")
    baseline: tuple[Baseline, ...] = Field(max_length=MAX_CELLS, description="The intact model, per task and language.")
    cells: tuple[CellResult, ...] = Field(
        max_length=MAX_CELLS, description="One per task, target and language of the task, in that order."
    )
    controls: Controls | None = Field(None, description="Random controls, or null when none were asked for.")
    headline: Headline | None = Field(
        None,
        description="How much of a language's harm stays in it, at one and the same harm; null where not measured.",
    )
    summary: tuple[TaskSummary, ...] = Field(max_length=200, description="One per task, in order.")
    curve: tuple[CurvePoint, ...] = Field((), max_length=10_000, description="Dose-response points, if any.")
    structure: Structure | None = Field(
        None, description="Where in the model the kinds of neurons lie and languages meet; null where not analysed."
    )
    ground_truth: Shipped[tuple[GroundTruth, ...] | None] = Field(
        None, max_length=20, description="Scores against known neurons; null where no truth is known."
    )
    stability: Asserted[tuple[Stability, ...] | None] = Field(
        None, max_length=20, description="Agreement between repeats; null when not repeated."
    )
    repeats: Repeats | None = Field(
        None, description="Detections on other text whose neurons were evaluated too; null where there were none."
    )
    warnings: tuple[ShortText, ...] = Field(
        (), max_length=200, description="What a reader should know before reading any number, a sentence each."
    )
    cost: Asserted[Cost] = Field(description="What the record cost to make.")
    environment: Asserted[Environment] = Field(description="The software and the machine.")
    files: tuple[FileEntry, ...] = Field(
        (),
        max_length=3,
        description="Files beside the record: one with the items, one with the neurons, where a ladder was climbed one "
        "with the items of its rungs; nothing else.",
    )
    analysis: AnalysisSettings = Field(description="How the numbers were computed from the items.")

    def _repr_html_(self) -> str:
        """Return the record for a notebook: a few lines, and its matrices."""
        return record_html(self)

    def with_id(self) -> Record:
        """Return the record with its content key filled in."""
        identity = self.identity.model_copy(update={"id": content_id(self.document())})
        return self.model_copy(update={"identity": identity})

    @property
    def shares(self) -> tuple[str, ...]:
        """Shares of each language's neurons that are targets of their own; empty where a target is all of them."""
        return tuple(dict.fromkeys(target.share for target in self.targets if target.share))

    def summary_of(self, task: str) -> TaskSummary | None:
        """Return one task's summary, or None."""
        return next((summary for summary in self.summary if summary.task == task), None)

    def task(self, name: str) -> Task | None:
        """Return the task of that name, or None."""
        return next((task for task in self.tasks if task.name == name), None)


def content_id(document: Mapping[str, Any]) -> str:
    """Return the content key of a record document: SHA-256 of canonical JSON without what may differ between runs.

    Left out: of the identity id, created, command, study, specification and badge; cost, environment,
    `detector.seconds`, the device and the sentences of `warnings`, so that the same numbers measured the same way have
    the same key. Documents of format 1 have the key they were written with, which covers command and study.
    """
    not_identity = _NOT_IDENTITY_1 if document.get("format") == "nharness-record/1" else _NOT_IDENTITY
    kept = {name: value for name, value in document.items() if name not in _NOT_CONTENT}
    for part, dropped in (("identity", not_identity), ("detector", ("seconds",)), ("model", ("device",))):
        if isinstance(kept.get(part), Mapping):
            kept[part] = {name: value for name, value in kept[part].items() if name not in dropped}
    return _digest(kept | ({"warnings": []} if "warnings" in kept else {}))


def configuration_key(record: Record) -> str:
    """Return the key of what was asked, whatever came out: equal for two records that repeat one measurement."""
    return _digest(
        {
            "model": [record.model.fingerprint, record.model.tokenizer_fingerprint, record.model.dtype],
            "corpus": record.corpus.fingerprint,
            "detector": [record.detector.name, record.detector.version, record.detector.options],
            "intervention": record.intervention.document(),
            "selection": [record.selection.document(), record.shares, record.neurons.component],
            "languages": list(record.languages),
            "tasks": [task.document() for task in record.tasks],
        }
    )


def _digest(document: Any) -> str:
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
